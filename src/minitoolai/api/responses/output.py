"""The output items of one response, grown by the deltas of a chat reply, sans I/O.

Every step yields the events that tell of it, unnumbered. A whole reply is one large delta.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

#: An event's type and its other fields.
Event = tuple[str, dict[str, Any]]


class _TextKind(NamedTuple):
    """How one kind of text is written down."""

    #: Fields of a chat delta that it comes in: one of them.
    sources: tuple[str, ...]
    #: Type of the item that holds it.
    item: str
    #: Type of its part there, and the part's field.
    part: str
    field: str
    #: What the events of its growth are called, up to `.delta` and `.done`.
    event: str


_CONTENT = _TextKind(("content",), "message", "output_text", "text", "response.output_text")
_TEXTS = (
    _TextKind(("reasoning_content", "reasoning"), "reasoning", "reasoning_text", "text", "response.reasoning_text"),
    _CONTENT,
    _TextKind(("refusal",), "message", "refusal", "refusal", "response.refusal"),
)
#: What an item has by its type beside id, type and status, and the beginning of its id.
_NEW_ITEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "reasoning": ("rs", {"summary": [], "content": []}),
    "message": ("msg", {"role": "assistant", "content": []}),
    "function_call": ("fc", {"arguments": ""}),
}


class OutputItems:
    """The items so far: reasoning, messages, calls of functions.

    A text ends when another kind of text or a call begins. Calls stay open until the end: their deltas may come in turns.
    """

    def __init__(self, stem: str) -> None:
        """`stem`: what the ids of the items are made from."""
        self.items: list[dict[str, Any]] = []
        self._stem = stem
        self._text: _OpenText | None = None
        #: In the order of `items`, and the newest by its index in the chat reply.
        self._calls: list[_OpenCall] = []
        self._newest: dict[int, _OpenCall] = {}

    def take(self, delta: dict[str, Any], logprobs: Sequence[dict[str, Any]]) -> Iterator[Event]:
        """Add a chat reply's delta, or its whole message. `logprobs`: those of its content."""
        for kind in _TEXTS:
            text = next(filter(None, (_text_of(delta, source) for source in kind.sources)), "")
            if text:
                yield from self._grow_text(kind, text, logprobs if kind is _CONTENT else ())
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                yield from self._grow_call(call)

    def close(self, status: str) -> Iterator[Event]:
        """End all items, the last one with `status`. A completed response has at least an empty message."""
        if not self.items and status == "completed":
            yield from self._open_text(_CONTENT)
        last = len(self.items) - 1
        if self._text is not None:
            yield from self._close_text(status if self._text.place == last else "completed")
        for call in self._calls:
            yield call.done()
            yield self._end_item(call.place, status if call.place == last else "completed")

    def so_far(self) -> list[dict[str, Any]]:
        """Return the items of a response that ends here, unfinished ones as incomplete."""
        if self._text is not None:
            self._text.gather()
        for call in self._calls:
            call.gather()
        unfinished = {"status": "incomplete"}
        return [{**item, **(unfinished if item["status"] == "in_progress" else {})} for item in self.items]

    def _grow_text(self, kind: _TextKind, text: str, logprobs: Sequence[dict[str, Any]]) -> Iterator[Event]:
        if self._text is None or self._text.kind != kind:
            yield from self._open_text(kind)
        assert self._text is not None
        yield self._text.grow(text, logprobs)

    def _open_text(self, kind: _TextKind) -> Iterator[Event]:
        """Begin a part, in the open item where that holds such parts too."""
        if self._text is not None and self._text.kind.item == kind.item:
            yield from self._text.done()
            place = self._text.place
        else:
            if self._text is not None:
                yield from self._close_text("completed")
            place = len(self.items)
            yield self._add_item(kind.item)
        self._text = _OpenText(kind, place, self.items[place])
        yield self._text.added()

    def _close_text(self, status: str) -> Iterator[Event]:
        assert self._text is not None
        yield from self._text.done()
        yield self._end_item(self._text.place, status)
        self._text = None

    def _grow_call(self, part: dict[str, Any]) -> Iterator[Event]:
        """Add to a call of a function, or begin one."""
        function = part["function"] if isinstance(part.get("function"), dict) else {}
        name, arguments = _text_of(function, "name"), _text_of(function, "arguments")
        call = self._call_of(part, name)
        if call is not None:
            call.item["name"] += name
        else:
            if self._text is not None:
                yield from self._close_text("completed")
            place = len(self.items)
            call_id = _text_of(part, "id") or f"call_{self._stem}{place:02x}"
            yield self._add_item("function_call", call_id=call_id, name=name)
            call = _OpenCall(place, self.items[place])
            self._calls.append(call)
            if isinstance(part.get("index"), int):
                self._newest[part["index"]] = call
        if arguments:
            yield call.grow(arguments)

    def _call_of(self, part: dict[str, Any], name: str) -> _OpenCall | None:
        """Return the call that a part goes on with; None: it begins one.

        Its `index` names it, but some engines give the same to all; without one, a part with a name begins a call.
        """
        index = part.get("index")
        if not isinstance(index, int):
            return self._calls[-1] if self._calls and not name else None
        call, call_id = self._newest.get(index), _text_of(part, "id")
        another = call is not None and name and call_id and call_id != call.item["call_id"]
        return None if another else call

    def _add_item(self, kind: str, **fields: object) -> Event:
        place = len(self.items)
        prefix, usual = _NEW_ITEMS[kind]
        item = {
            "id": f"{prefix}_{self._stem}{place:02x}",
            "type": kind,
            "status": "in_progress",
            **deepcopy(usual),
            **fields,
        }
        self.items.append(item)
        return "response.output_item.added", {"output_index": place, "item": deepcopy(item)}

    def _end_item(self, place: int, status: str) -> Event:
        self.items[place]["status"] = status
        return "response.output_item.done", {"output_index": place, "item": self.items[place]}


class _OpenText:
    """The part of an item that is being written."""

    def __init__(self, kind: _TextKind, place: int, item: dict[str, Any]) -> None:
        self.kind = kind
        self.place = place
        self._part: dict[str, Any] = {"type": kind.part, kind.field: ""}
        if kind is _CONTENT:
            self._part |= {"annotations": [], "logprobs": []}
        self._pieces: list[str] = []
        self._where = {"item_id": item["id"], "output_index": place, "content_index": len(item["content"])}
        item["content"].append(self._part)

    def added(self) -> Event:
        """Tell of the part's beginning."""
        return "response.content_part.added", {**self._where, "part": deepcopy(self._part)}

    def grow(self, text: str, logprobs: Sequence[dict[str, Any]]) -> Event:
        """Add to the part."""
        self._pieces.append(text)
        told = {**self._where, "delta": text}
        if self.kind is _CONTENT:
            self._part["logprobs"] += logprobs
            told["logprobs"] = logprobs
        return f"{self.kind.event}.delta", told

    def gather(self) -> None:
        """Put the pieces that came so far into the part."""
        self._part[self.kind.field] = "".join(self._pieces)

    def done(self) -> Iterator[Event]:
        """Tell of the part's end."""
        self.gather()
        told = {**self._where, self.kind.field: self._part[self.kind.field]}
        if self.kind is _CONTENT:
            told["logprobs"] = self._part["logprobs"]
        yield f"{self.kind.event}.done", told
        yield "response.content_part.done", {**self._where, "part": self._part}


class _OpenCall:
    """A call of a function whose arguments are being written."""

    def __init__(self, place: int, item: dict[str, Any]) -> None:
        self.place = place
        self.item = item
        self._pieces: list[str] = []

    def grow(self, arguments: str) -> Event:
        """Add to the arguments."""
        self._pieces.append(arguments)
        told = {"item_id": self.item["id"], "output_index": self.place, "delta": arguments}
        return "response.function_call_arguments.delta", told

    def gather(self) -> None:
        """Put the pieces that came so far into the item."""
        self.item["arguments"] = "".join(self._pieces)

    def done(self) -> Event:
        """Tell of the arguments' end."""
        self.gather()
        told = {"item_id": self.item["id"], "output_index": self.place, "name": self.item["name"]}
        return "response.function_call_arguments.done", {**told, "arguments": self.item["arguments"]}


def _text_of(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
