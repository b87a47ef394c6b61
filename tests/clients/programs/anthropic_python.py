"""Anthropic's package for Python, used as its own documentation shows, told only the base URL."""

from __future__ import annotations

import time
from typing import Any

import anthropic
import pydantic

from tests.clients.programs.stage import SERVER, attempt, perform

#: A tool, as Anthropic's guide to tool use describes one.
WEATHER: Any = {
    "name": "get_weather",
    "description": "Current temperature at a place.",
    "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}


def _client(key: str, **options: Any) -> Any:
    return anthropic.Anthropic(base_url=SERVER, api_key=key, **{"max_retries": 0, **options})


def _asked(text: str, **fields: Any) -> dict[str, Any]:
    asked = {"model": "gpt-4o-mini", "max_tokens": 1000, "messages": [{"role": "user", "content": text}]}
    return {**asked, **fields}


def create(key: str, text: str, **fields: Any) -> object:
    """A whole message."""
    with _client(key) as client:
        message = client.messages.create(**_asked(text, **fields))
        return {**message.model_dump(mode="json"), "request_id": message._request_id}


def stream(key: str, text: str, **fields: Any) -> object:
    """A stream, gathered by the package, and the kinds of its events."""
    with _client(key) as client, client.messages.stream(**_asked(text, **fields)) as events:
        kinds = []
        text = ""
        for event in events:
            kinds.append(event.type)
            if event.type == "text":
                text += event.text
        return {"kinds": kinds, "text": text, "message": events.get_final_message().model_dump(mode="json")}


def raw_stream(key: str, text: str) -> object:
    """A stream, event by event, as it comes over the wire."""
    with _client(key) as client:
        return [event.model_dump(mode="json") for event in client.messages.create(**_asked(text, stream=True))]


def leave(key: str, text: str, after: int) -> object:
    """A stream that is left after some of its text."""
    content = ""
    with _client(key) as client, client.messages.stream(**_asked(text)) as events:
        for number, part in enumerate(events.text_stream):
            content += part
            if number == after:
                break
    return content


def tools_loop(key: str, text: str, streamed: bool, **fields: Any) -> object:
    """The loop of the guide: until the model stops for another reason than a tool."""
    called: list[Any] = []
    stops = []
    messages: list[Any] = [{"role": "user", "content": text}]
    with _client(key) as client:
        while True:
            asked = _asked(text, messages=messages, tools=[WEATHER], **fields)
            if streamed:
                with client.messages.stream(**asked) as events:
                    message = events.get_final_message()
            else:
                message = client.messages.create(**asked)
            stops.append(message.stop_reason)
            uses = [block for block in message.content if block.type == "tool_use"]
            if not uses:
                return {"answer": message.content[0].text, "called": called, "stops": stops}
            called += [[use.name, use.input] for use in uses]
            messages.append({"role": "assistant", "content": message.content})
            results = [{"type": "tool_result", "tool_use_id": use.id, "content": "7 degrees"} for use in uses]
            messages.append({"role": "user", "content": results})


def tool_runner(key: str, text: str) -> object:
    """The loop as the package itself runs it."""

    def get_weather(location: str) -> str:
        """Tell the temperature.

        Args:
            location: A place.
        """
        return f"7 degrees in {location}"

    with _client(key) as client:
        message = client.beta.messages.tool_runner(**_asked(text, tools=[anthropic.beta_tool(get_weather)])).until_done()
        return message.content[0].text


def parse(key: str, text: str) -> object:
    """An answer of a given form."""

    class Answer(pydantic.BaseModel):
        location: str

    with _client(key) as client:
        found: Any = client.messages.parse(**_asked(text, output_format=Answer)).parsed_output
        return found.location


def count_tokens(key: str, text: str, **fields: Any) -> object:
    """How many tokens a message would have."""
    with _client(key) as client:
        asked = _asked(text, **fields)
        asked.pop("max_tokens")
        return client.messages.count_tokens(**asked).input_tokens


def refused(key: str, fields: dict[str, Any], max_retries: int = 0) -> object:
    """The error that a call ends with, and its body."""

    def call(client: Any) -> None:
        reply = client.messages.create(**_asked("Hello", **fields))
        if fields.get("stream"):
            list(reply)

    bodies: list[Any] = []

    def keep(client: Any) -> None:
        try:
            call(client)
        except anthropic.APIError as error:
            bodies.append(error.body)
            raise

    with _client(key, max_retries=max_retries) as client:
        found = attempt(anthropic.AnthropicError, lambda: keep(client))
    return {**found, "body": bodies[0]}


def retried(key: str) -> object:
    """A call with the package's own number of retries, and how long it took."""
    started = time.monotonic()
    with anthropic.Anthropic(base_url=SERVER, api_key=key) as client:
        message: Any = client.messages.create(**_asked("Hello"))
    return {"text": message.content[0].text, "took_s": time.monotonic() - started}


def models(key: str) -> object:
    """The ids of the models that the package's own list shows."""
    with _client(key) as client:
        return [model.id for model in client.models.list()]


SCENARIOS = (
    create, stream, raw_stream, leave, tools_loop, tool_runner, parse, count_tokens, refused, retried, models,
)  # fmt: skip

if __name__ == "__main__":
    perform({scenario.__name__: scenario for scenario in SCENARIOS})
