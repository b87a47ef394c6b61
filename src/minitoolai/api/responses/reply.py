"""Chat replies as responses: the shape of `POST /v1/responses`, whole and streamed (docs/reference/responses.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from minitoolai.api.responses.output import Event, OutputItems
from minitoolai.api.responses.request import Asked
from minitoolai.core.sse import typed_event

#: Why a response is incomplete, by the chat reply's `finish_reason`.
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseShape:
    """The Responses API over one chat call (`api.paid.Shape`)."""

    def __init__(self, asked: Asked, call_id: UUID, began_s: int) -> None:
        """`began_s`: when the call came, in Unix seconds."""
        self._asked = asked
        self._call_id = call_id
        self._began_s = began_s

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the response that a `chat.completion` is."""
        response = self._response()
        for told in (response.take(body), response.end()):
            for _ in told:
                pass
        return response.shown()

    def events(self) -> ResponseEvents:
        """Return what turns a stream's chunks into events."""
        return ResponseEvents(self._response(), self._asked)

    def _response(self) -> GrowingResponse:
        return GrowingResponse(self._asked.repeated, self._call_id.hex, self._began_s)


class ResponseEvents:
    """The events of one response (`api.paid.Events`)."""

    def __init__(self, response: GrowingResponse, asked: Asked) -> None:
        self._response = response
        self._origins = asked.origins
        self._sent = 0

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        """Return the frames for one chunk."""
        return self._frames(self._response.take(chunk))

    def done(self) -> bytes:
        """Return the frames that end a complete stream."""
        return self._frames(self._response.end())

    def error(self, error: dict[str, Any]) -> bytes:
        """Return the frames that end a stream which failed."""
        return self._frames(self._response.fail(self._origins.renamed(error)))

    def _frames(self, events: Iterator[Event]) -> bytes:
        frames = []
        for kind, fields in events:
            frames.append(typed_event({"type": kind, "sequence_number": self._sent, **fields}))
            self._sent += 1
        return b"".join(frames)


class GrowingResponse:
    """One response while its chat reply comes in."""

    def __init__(self, repeated: dict[str, Any], call: str, began_s: int) -> None:
        """`repeated`: fields of the request; `call`: the id to take where the chat reply has none."""
        self._repeated = repeated
        self._stem = call
        self._created_at = began_s
        self._model = repeated["model"]
        self._tier = "default"
        self._items: OutputItems | None = None
        self._status = "in_progress"
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None
        self._error: dict[str, Any] | None = None

    def take(self, reply: dict[str, Any]) -> Iterator[Event]:
        """Take a chunk, or a whole chat reply; yield what happens."""
        if self._items is None:
            yield from self._begin(reply)
        usage, tier, choices = reply.get("usage"), reply.get("service_tier"), reply.get("choices")
        if isinstance(usage, dict):
            self._usage = usage
        if isinstance(tier, str):
            self._tier = tier
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                yield from self._take_choice(choice)

    def end(self) -> Iterator[Event]:
        """End a complete reply; yield what happens."""
        self._status = "incomplete" if self._finish_reason in _REASONS else "completed"
        yield from self._begun().close(self._status)
        yield f"response.{self._status}", {"response": self.shown()}

    def fail(self, error: dict[str, Any]) -> Iterator[Event]:
        """End a reply that failed; yield what happens."""
        if self._items is None:
            yield from self._begin({})
        self._status = "failed"
        self._error = {"code": error["code"], "message": error["message"]}
        yield "response.failed", {"response": self.shown()}

    def shown(self) -> dict[str, Any]:
        """Return the `response` object as it is now."""
        reason = _REASONS.get(self._finish_reason or "") if self._status == "incomplete" else None
        return {
            "id": f"resp_{self._stem}",
            "object": "response",
            "created_at": self._created_at,
            "status": self._status,
            "error": self._error,
            "incomplete_details": {"reason": reason} if reason else None,
            **self._repeated,
            "model": self._model,
            "output": self._begun().so_far(),
            "service_tier": self._tier,
            "usage": _usage(self._usage) if self._usage is not None else None,
        }

    def _take_choice(self, choice: dict[str, Any]) -> Iterator[Event]:
        said, logprobs = choice.get("delta") or choice.get("message"), choice.get("logprobs")
        finish_reason = choice.get("finish_reason")
        if isinstance(finish_reason, str):
            self._finish_reason = finish_reason
        tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
        if isinstance(said, dict):
            yield from self._begun().take(said, tokens if isinstance(tokens, list) else ())

    def _begun(self) -> OutputItems:
        assert self._items is not None  # a reply begins with a chunk
        return self._items

    def _begin(self, reply: dict[str, Any]) -> Iterator[Event]:
        """Take over the reply's head. The ids are made from it, so that a reply given again has the same ones."""
        created, model, name = reply.get("created"), reply.get("model"), reply.get("id")
        if isinstance(created, int):
            self._created_at = created
        if isinstance(model, str):
            self._model = model
        if name is not None:
            self._stem = hashlib.sha256(f"{name} {created}".encode()).hexdigest()[: len(self._stem)]
        self._items = OutputItems(self._stem)
        yield "response.created", {"response": self.shown()}
        yield "response.in_progress", {"response": self.shown()}


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    """Return a chat reply's usage as this API names it, with its cost."""
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {
            "cached_tokens": _detail(usage, "prompt_tokens_details", "cached_tokens"),
            "cache_write_tokens": _detail(usage, "prompt_tokens_details", "cache_write_tokens"),
        },
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {
            "reasoning_tokens": _detail(usage, "completion_tokens_details", "reasoning_tokens"),
        },
        "total_tokens": usage["total_tokens"],
        "cost": usage["cost"],
    }


def _detail(usage: dict[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    count = details.get(name) if isinstance(details, dict) else None
    return count if isinstance(count, int) else 0
