"""What an engine wrote down of a sound, whole or in events, each with what the call costs (sans I/O)."""

from __future__ import annotations

from typing import Any

import msgspec

from minitoolai.core.sse import FrameSplitter, SseError, event, frame_data
from minitoolai.core.transcription import MEDIA_TYPES, ResponseFormat

_DELTA, _SEGMENT, _DONE = "transcript.text.delta", "transcript.text.segment", "transcript.text.done"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Transcript:
    """A whole reply of an engine."""

    __slots__ = ("_fields", "_plain")

    def __init__(self, raw: bytes, response_format: ResponseFormat) -> None:
        """Raises `ValueError` where it is none in that format."""
        self._fields: dict[str, Any] | None = None
        #: The reply where it is no JSON.
        self._plain = raw
        if response_format in MEDIA_TYPES:
            raw.decode()
            return
        try:
            fields = _decode(raw)
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error
        if not isinstance(fields, dict) or not isinstance(fields.get("text"), str):
            raise ValueError("it has no text")
        self._fields = fields

    @property
    def seconds(self) -> float | None:
        """How long the engine says that the sound is; None: it does not say."""
        return _seconds(self._fields or {})

    def body(self, milliseconds: int, cost_usd: float) -> bytes:
        """Return what the caller is sent; JSON has the usage, with the cost."""
        if self._fields is None:
            return self._plain
        return _encode({**self._fields, "usage": _usage(self._fields, milliseconds, cost_usd)})


class TranscriptEvents:
    """Reads an engine's stream of events, and keeps back the last one: its usage is still to be told.

    An engine that does not stream (OpenAI's `whisper-1`) answers with its whole reply: then that is the stream.
    """

    def __init__(self) -> None:
        self._splitter = FrameSplitter()
        #: The reply of an engine that does not stream; None: it streams, or nothing is known yet.
        self._whole: bytearray | None = None
        self._begun = False
        #: The data of the last event; None: it has not come.
        self._last: dict[str, Any] | None = None

    @property
    def done(self) -> bool:
        """Whether the last event has come."""
        return self._last is not None

    @property
    def seconds(self) -> float | None:
        """How long the engine says that the sound is; None: it does not say."""
        return _seconds(self._last or {})

    def feed(self, data: bytes, most_bytes: int) -> bytes:
        """Return the frames that `data` completes, but for the last. Raises `SseError`; `most_bytes`: of a whole reply."""
        if not self._begun and data.strip():
            self._begun = True
            self._whole = bytearray() if data.lstrip().startswith(b"{") else None
        if self._whole is None:
            return b"".join([self._frame(frame) for frame in self._splitter.feed(data)])
        self._whole += data
        if len(self._whole) > most_bytes:
            raise SseError("the reply does not end")
        return b""

    def end(self) -> bytes:
        """Return the frames that are left where the engine has ended its reply. Raises `SseError` where it is not whole."""
        if self._whole is not None:
            try:
                fields = _decode(self._whole)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise SseError("the reply is not JSON") from error
            return self._take_whole(fields)
        if self._last is None:
            raise SseError("the stream has no end")
        return b""

    def last_frame(self, milliseconds: int, cost_usd: float) -> bytes:
        """Return the last event, its usage with the cost."""
        assert self._last is not None
        return event({**self._last, "usage": _usage(self._last, milliseconds, cost_usd)})

    def body(self, milliseconds: int, cost_usd: float) -> bytes:
        """Return the stream as a whole reply: what is kept for callers who repeat their call."""
        assert self._last is not None
        rest = {name: value for name, value in self._last.items() if name != "type"}
        return _encode({**rest, "usage": _usage(rest, milliseconds, cost_usd)})

    def _frame(self, frame: bytes) -> bytes:
        data = frame_data(frame).strip()
        if not data or data == b"[DONE]" or self._last is not None:
            return b""
        try:
            shown = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SseError("a frame is not JSON") from error
        if not isinstance(shown, dict) or shown.get("error") or shown.get("type") == "error":
            raise SseError("a frame is no event")
        if shown.get("type") == _DONE and isinstance(shown.get("text"), str):
            self._last = shown
        return event(shown) if shown.get("type") in (_DELTA, _SEGMENT) else b""

    def _take_whole(self, fields: Any) -> bytes:
        if not isinstance(fields, dict) or not isinstance(fields.get("text"), str):
            raise SseError("the reply has no text")
        self._last = {"type": _DONE, **fields}
        return event({"type": _DELTA, "delta": fields["text"]})


def as_stream(body: bytes) -> bytes:
    """Return a whole reply of ours as the events of a stream: one delta and the end."""
    fields = _decode(body)
    return event({"type": _DELTA, "delta": fields["text"]}) + event({"type": _DONE, **fields})


def _usage(fields: dict[str, Any], milliseconds: int, cost_usd: float) -> dict[str, Any]:
    """Return OpenAI's usage with the cost: the tokens that an engine counts, else how long the sound is."""
    own = fields.get("usage")
    if isinstance(own, dict) and own.get("type") == "tokens":
        return {**own, "cost": cost_usd}
    return {"type": "duration", "seconds": milliseconds / 1000, "cost": cost_usd}


def _seconds(fields: dict[str, Any]) -> float | None:
    usage = fields.get("usage")
    found = usage.get("seconds") if isinstance(usage, dict) else fields.get("duration")
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
