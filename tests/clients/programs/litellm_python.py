"""LiteLLM's package as a client, used as its own documentation shows for a server that speaks OpenAI's API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import litellm

from tests.clients.programs.stage import SERVER, attempt, perform

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    },
}


def _asked(key: str, **fields: Any) -> dict[str, Any]:
    reached = {"api_base": f"{SERVER}/v1", "api_key": key, "num_retries": 0, "max_retries": 0}
    return {"model": "openai/gpt-4o-mini", **reached, **fields}


def _said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def complete(key: str, text: str, **fields: Any) -> object:
    """A whole reply, by the asynchronous call."""
    reply: Any = asyncio.run(litellm.acompletion(messages=_said(text), **_asked(key, **fields)))
    return reply.model_dump()


def stream(key: str, text: str) -> object:
    """A stream, gathered by the package."""
    chunks = list(
        litellm.completion(messages=_said(text), stream=True, stream_options={"include_usage": True}, **_asked(key))
    )
    whole: Any = litellm.stream_chunk_builder(chunks)
    return {"count": len(chunks), "content": whole.choices[0].message.content, "usage": whole.usage.model_dump()}


def tools_loop(key: str, text: str, streamed: bool) -> object:
    """A tool, called and told."""
    called: list[Any] = []
    messages = _said(text)
    while True:
        reply: Any = litellm.completion(messages=messages, tools=[WEATHER], stream=streamed, **_asked(key))
        if streamed:
            reply = litellm.stream_chunk_builder(list(reply))
        message = reply.choices[0].message
        if not message.tool_calls:
            return {"answer": message.content, "called": called}
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            called.append([call.function.name, json.loads(call.function.arguments)])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "7 degrees"})


def refused(key: str, fields: dict[str, Any]) -> object:
    """The error that a call ends with."""
    return attempt(Exception, lambda: litellm.completion(**{"messages": _said("Hello"), **_asked(key), **fields}))


def embed(key: str, texts: list[str]) -> object:
    """Vectors."""
    asked = {**_asked(key), "model": "openai/text-embedding-3-small"}
    reply: Any = litellm.embedding(input=texts, **asked)
    return reply.model_dump()


SCENARIOS = (complete, stream, tools_loop, refused, embed)

if __name__ == "__main__":
    perform({scenario.__name__: scenario for scenario in SCENARIOS})
