"""OpenAI's package for Python, used as its own documentation shows."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import openai
from pydantic import BaseModel

from tests.clients.programs.stage import SERVER, attempt, perform

#: A tool, as OpenAI's guide to function calling describes one.
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current temperature at a place.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
            "required": ["location", "unit"],
            "additionalProperties": False,
        },
    },
}
TIME: Any = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}


class Step(BaseModel):
    """One step of a solution."""

    explanation: str
    certain: bool


class Solution(BaseModel):
    """What the model is to fill in."""

    steps: list[Step]
    answer: int


def _client(key: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{SERVER}/v1", api_key=key, **{"max_retries": 0, **options})


def _asked(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **fields}


def create(key: str, text: str, **fields: Any) -> object:
    """A whole reply, and the headers that tell what it cost."""
    with _client(key) as client:
        raw = client.chat.completions.with_raw_response.create(**_asked(text, **fields))
        headers = {name: raw.headers.get(name) for name in ("x-minitoolai-cost", "x-minitoolai-balance", "x-request-id")}
        reply: Any = raw.parse()
        return {"reply": reply.model_dump(), "headers": headers, "request_id": reply._request_id}


def stream(key: str, text: str, **fields: Any) -> object:
    """A stream, chunk by chunk."""
    with _client(key) as client:
        options = {"include_usage": True}
        chunks = client.chat.completions.create(**_asked(text, stream=True, stream_options=options, **fields))
        return [chunk.model_dump() for chunk in chunks]


def stream_helper(key: str, text: str) -> object:
    """The package's own gathering of a stream, with a schema."""
    with _client(key) as client, client.chat.completions.stream(**_asked(text, response_format=Solution)) as events:
        kinds = [event.type for event in events]
        parsed = events.get_final_completion().choices[0].message.parsed
        assert isinstance(parsed, Solution)
        return {"kinds": sorted(set(kinds)), "parsed": parsed.model_dump()}


def leave(key: str, text: str, after: int) -> object:
    """A stream that is left after some chunks."""
    with _client(key) as client:
        chunks = client.chat.completions.create(**_asked(text, stream=True))
        content = ""
        for number, chunk in enumerate(chunks):
            content += chunk.choices[0].delta.content or ""
            if number == after:
                chunks.close()
                break
        return content


def tools_loop(key: str, text: str, streamed: bool) -> object:
    """The loop of the guide: call, run the tools, call again, until there is an answer."""
    with _client(key) as client:
        messages: list[Any] = [{"role": "user", "content": text}]
        called: list[Any] = []
        while True:
            fields: Any = {"model": "gpt-4o-mini", "messages": messages, "tools": [WEATHER, TIME]}
            if streamed:
                with client.chat.completions.stream(**fields) as events:
                    message = events.get_final_completion().choices[0].message
            else:
                message = client.chat.completions.create(**fields).choices[0].message
            if not message.tool_calls:
                return {"answer": message.content, "called": called}
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                called.append([call.function.name, json.loads(call.function.arguments)])
                messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name}: 7 degrees"})


def parse(key: str, text: str) -> object:
    """A reply that fits a class."""
    with _client(key) as client:
        parsed = client.chat.completions.parse(**_asked(text, response_format=Solution)).choices[0].message.parsed
        assert isinstance(parsed, Solution)
        return parsed.model_dump()


def refused(key: str, fields: dict[str, Any], max_retries: int = 0) -> object:
    """The error that a call ends with, and how long that took."""
    started = time.monotonic()
    with _client(key, max_retries=max_retries) as client:
        found = attempt(openai.OpenAIError, lambda: _read(client.chat.completions.create(**_asked("Hello", **fields))))
    return {**found, "took_s": time.monotonic() - started}


def _read(reply: Any) -> None:
    if isinstance(reply, openai.Stream):
        list(reply)


def retried(key: str) -> object:
    """A call with the package's own number of retries, and how long it took."""
    started = time.monotonic()
    with openai.OpenAI(base_url=f"{SERVER}/v1", api_key=key) as client:
        reply = client.chat.completions.create(**_asked("Hello"))
    return {"content": reply.choices[0].message.content, "took_s": time.monotonic() - started}


def models(key: str) -> object:
    """The list of models, and one of them."""
    with _client(key) as client:
        return {
            "list": [model.id for model in client.models.list()],
            "one": client.models.retrieve("gpt-4o-mini").model_dump(),
            "none": attempt(openai.OpenAIError, lambda: client.models.retrieve("no-such-model")),
        }


def many_at_once(key: str, count: int) -> object:
    """Calls of the asynchronous client, side by side."""

    async def run() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{SERVER}/v1", api_key=key, max_retries=0) as client:
            calls = (client.chat.completions.create(**_asked(f"number {number}")) for number in range(count))
            return [reply.choices[0].message.content for reply in await asyncio.gather(*calls)]

    return asyncio.run(run())


def images(key: str, **fields: Any) -> object:
    """Pictures."""
    with _client(key) as program:
        raw = program.images.with_raw_response.generate(**{"model": "gpt-image-1", "prompt": "a red circle", **fields})
        return {"reply": raw.parse().model_dump(), "cost": raw.headers["x-minitoolai-cost"]}


def images_refused(key: str, fields: dict[str, Any]) -> object:
    """The error that a call for pictures ends with."""
    with _client(key) as program:
        asked = {"model": "gpt-image-1", "prompt": "a red circle", **fields}
        return attempt(openai.OpenAIError, lambda: program.images.generate(**asked))


def speak(key: str, path: str, **fields: Any) -> object:
    """Speech, streamed to a file."""
    asked: dict[str, Any] = {"model": "tts-1", "voice": "alloy", **fields}
    with _client(key) as program, program.audio.speech.with_streaming_response.create(**asked) as reply:
        reply.stream_to_file(path)
        return dict(reply.headers)


def speak_refused(key: str, fields: dict[str, Any]) -> object:
    """The error that a call for speech ends with."""
    with _client(key) as program:
        asked = {"model": "tts-1", "voice": "alloy", "input": "Hello", **fields}
        return attempt(openai.OpenAIError, lambda: program.audio.speech.create(**asked))


def transcribe(key: str, path: str, **fields: Any) -> object:
    """What is said in a file of sound: a reply of the package's class, or the text alone."""
    with _client(key) as program, open(path, "rb") as file:
        reply: Any = program.audio.transcriptions.create(**{"model": "whisper-1", "file": file, **fields})
        return {"class": type(reply).__name__, "reply": reply if isinstance(reply, str) else reply.model_dump()}


def transcribe_streamed(key: str, path: str, **fields: Any) -> object:
    """The same as it is written, event by event."""
    with _client(key) as program, open(path, "rb") as file:
        asked: dict[str, Any] = {"model": "gpt-4o-transcribe", "file": file, "response_format": "text", **fields}
        return [event.model_dump() for event in program.audio.transcriptions.create(**asked, stream=True)]


def transcribe_refused(key: str, path: str, fields: dict[str, Any]) -> object:
    """The error that a call for a transcription ends with."""
    with _client(key) as program, open(path, "rb") as file:
        asked: dict[str, Any] = {"model": "whisper-1", "file": file, **fields}
        return attempt(openai.OpenAIError, lambda: program.audio.transcriptions.create(**asked))


def embed(key: str, **fields: Any) -> object:
    """Embeddings."""
    with _client(key) as client:
        return client.embeddings.create(**{"model": "text-embedding-3-small", **fields}).model_dump()


def embed_refused(key: str, fields: dict[str, Any]) -> object:
    """The error that a call for embeddings ends with."""
    with _client(key) as client:
        asked = {"model": "text-embedding-3-small", **fields}
        return attempt(openai.OpenAIError, lambda: client.embeddings.create(**asked))


def respond(key: str, **fields: Any) -> object:
    """A whole reply of the Responses API."""
    with _client(key) as client:
        reply = client.responses.create(**{"model": "gpt-4o-mini", **fields})
        return {"text": reply.output_text, "reply": reply.model_dump(mode="json")}


def respond_refused(key: str, fields: dict[str, Any]) -> object:
    """The error that a call of the Responses API ends with."""
    with _client(key) as client:
        asked = {"model": "gpt-4o-mini", "input": "Hello", **fields}
        return attempt(openai.OpenAIError, lambda: client.responses.create(**asked))


def respond_streamed(key: str, **fields: Any) -> object:
    """A stream of the Responses API, gathered by the package."""
    with _client(key) as client, client.responses.stream(**{"model": "gpt-4o-mini", **fields}) as events:
        kinds = [event.type for event in events]
        final = events.get_final_response()
        return {"kinds": kinds, "text": final.output_text, "usage": final.usage.model_dump() if final.usage else None}


def respond_parsed(key: str, text: str) -> object:
    """A response that fits a class."""
    with _client(key) as client:
        parsed = client.responses.parse(model="gpt-4o-mini", input=text, text_format=Solution).output_parsed
        assert isinstance(parsed, Solution)
        return parsed.model_dump()


def respond_tools(key: str, text: str) -> object:
    """The loop of tools by the Responses API: its items are handed back."""
    tool: Any = {"type": "function", **WEATHER["function"]}
    items: list[Any] = [{"role": "user", "content": text}]
    called: list[Any] = []
    with _client(key) as client:
        while True:
            reply = client.responses.create(model="gpt-4o-mini", input=items, tools=[tool])
            calls: list[Any] = [item for item in reply.output if item.type == "function_call"]
            if not calls:
                return {"answer": reply.output_text, "called": called}
            items += [item.model_dump(exclude_none=True) for item in reply.output]
            for call in calls:
                called.append([call.name, json.loads(call.arguments)])
                items.append({"type": "function_call_output", "call_id": call.call_id, "output": "7 degrees"})


SCENARIOS = (
    create, stream, stream_helper, leave, tools_loop, parse, refused, retried, models, many_at_once, embed, embed_refused,
    images, images_refused, speak, speak_refused, transcribe, transcribe_streamed, transcribe_refused,
    respond, respond_refused, respond_streamed, respond_parsed, respond_tools,
)  # fmt: skip

if __name__ == "__main__":
    perform({scenario.__name__: scenario for scenario in SCENARIOS})
