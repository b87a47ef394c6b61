"""LangChain's package for OpenAI, used as its own documentation shows."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

from tests.clients.programs.stage import SERVER, perform


class Place(BaseModel):
    """A place and how large it is."""

    name: str = Field(description="Its name")
    area_km2: int


def _model(key: str, **options: Any) -> Any:
    return ChatOpenAI(model="gpt-4o-mini", base_url=f"{SERVER}/v1", api_key=key, max_retries=0, **options)


def invoke(key: str, text: str, **options: Any) -> object:
    """A whole reply."""
    message = _model(key, **options).invoke([("system", "Be brief."), ("user", text)])
    return {"content": str(message.text), "usage": message.usage_metadata, "about": message.response_metadata}


def stream(key: str, text: str) -> object:
    """A stream, its chunks added up."""
    whole: Any = AIMessageChunk("")
    count = 0
    for chunk in _model(key, stream_usage=True).stream(text):
        whole, count = whole + chunk, count + 1
    return {"content": whole.content, "usage": whole.usage_metadata, "chunks": count}


def batch(key: str, texts: list[str]) -> object:
    """Calls side by side."""
    return [message.content for message in asyncio.run(_model(key).abatch(texts))]


def structured(key: str, text: str, method: str) -> object:
    """An object of a class, by a schema or by a tool."""
    found: Place = _model(key).with_structured_output(Place, method=method).invoke(text)
    return found.model_dump()


def tools_loop(key: str, text: str) -> object:
    """A bound tool, called and told."""
    called: list[str] = []

    def get_weather(location: str) -> str:
        """Return the current temperature at a place."""
        called.append(location)
        return f"{location}: 7 degrees"

    weather = tool(get_weather)
    model = _model(key).bind_tools([weather])
    messages: list[Any] = [HumanMessage(text)]
    while True:
        message = model.invoke(messages)
        messages.append(message)
        if not message.tool_calls:
            return {"answer": message.content, "called": called}
        for call in message.tool_calls:
            found = weather.invoke(call["args"])
            messages.append(ToolMessage(found, tool_call_id=call["id"]))


def embed(key: str, texts: list[str], **options: Any) -> object:
    """Vectors of texts, as a vector store asks for them: the package sends tokens, not text, unless told otherwise."""
    model = OpenAIEmbeddings(model="text-embedding-3-small", base_url=f"{SERVER}/v1", api_key=key, **options)
    return model.embed_documents(texts)


SCENARIOS = (invoke, stream, batch, structured, tools_loop, embed)

if __name__ == "__main__":
    perform({scenario.__name__: scenario for scenario in SCENARIOS})
