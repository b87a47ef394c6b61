"""A chat stream's frames, read just as far as money needs, sans I/O.

`ChatScanner` forwards frames untouched and looks for usage, errors, content and the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from minitoolai.core.inference import Usage, parse_usage
from minitoolai.core.sse import FrameSplitter, SseError, event, frame_data

#: Raw frames kept before their text is taken out, so that a long stream holds its text and not its JSON.
FOLD_BYTES = 64 * 1024
#: Frames that end a stream: the reason, the usage, `[DONE]`. Those before them are looked at together.
_LAST_FRAMES = 3

_decode = msgspec.json.Decoder().decode


def _is_plain(frames: bytes) -> bool:
    """Whether frames carry neither usage nor an error, and end no choice."""
    return (
        b'"error"' not in frames
        and frames.count(b'"finish_reason"') == frames.count(b'"finish_reason":null')
        and frames.count(b'"usage"') == frames.count(b'"usage":null')
    )


class ChatScanner:
    """Reads the frames of one chat stream.

    `feed` returns the bytes for the caller; `usage`, `error`, `done` and `has_content` say what was seen, and
    `text` is what was received so far. The usage chunk and `[DONE]` are held back: the gateway sends its own once
    the call is captured.
    """

    __slots__ = (
        "_bytes", "_frames", "_seed_fields", "_splitter", "_texts", "_usage_at", "chunks", "done", "error",
        "has_content", "last", "usage",
    )  # fmt: skip

    def __init__(self, *, seed_fields: bool) -> None:
        self._splitter = FrameSplitter()
        #: None: not known yet; True: each chunk is completed with the seed's fields; False: forwarded untouched.
        self._seed_fields: bool | None = None if seed_fields else False
        self._frames: list[bytes] = []
        self._bytes = 0
        self._texts: list[str] = []
        #: Chunks that carried content.
        self.chunks = 0
        self.usage: Usage | None = None
        #: How many chunks with content had come when the engine last told its usage.
        self._usage_at = 0
        #: The engine's in-band error object, if it sent one.
        self.error: dict[str, Any] | None = None
        self.done = False
        self.has_content = False
        #: The head of the last chunk parsed (id, created, model …): the usage chunk is made from it.
        self.last: dict[str, Any] = {}

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the engine, return bytes for the caller: whole frames or nothing.

        Raises `SseError` when the first of their frames is no JSON; a later one sets `error`.
        """
        if self._passes(data):
            return self._keep(data, data.count(b"\n\n"))
        forward: list[bytes] = []
        for piece, passed in self._pieces(self._splitter.feed(data)):
            try:
                out = self._keep(piece, passed) if passed else self._frame(piece)
            except SseError:
                if not forward:
                    raise
                # What came before it, in the same bytes, was received and is charged: the caller gets it first.
                self.error = {"message": "a frame is not JSON"}
                break
            if out:
                forward.append(out)
        return forward[0] if len(forward) == 1 else b"".join(forward)

    def _pieces(self, frames: list[bytes]) -> Iterator[tuple[bytes, int]]:
        """Yield `frames`: one by one, with 0, or those of a burst's middle that pass as one piece, with their number."""
        begin, middle = 0, len(frames) - _LAST_FRAMES
        while begin < len(frames):
            if self.has_content and begin < middle:
                piece = b"".join(frames[begin:middle])
                if self._passes(piece):
                    yield piece, middle - begin
                    begin = middle
                middle = 0
            else:
                yield frames[begin], 0
                begin += 1

    def _passes(self, data: bytes) -> bool:
        """Whether `data` is what an engine sends while it writes: whole frames of one line each, text and no more."""
        if not self.has_content or self._seed_fields is not False or self.done or not self._splitter.between_frames:
            return False
        frames = data.count(b"}\n\n")
        return (
            data.startswith(b"data: {")
            and data.endswith(b"}\n\n")
            and data.count(b"\n\ndata: {") == frames - 1
            and data.count(b"\n") == 2 * frames
            and b"\r" not in data
            and _is_plain(data)
        )

    def _frame(self, frame: bytes) -> bytes:
        if self.done or self.error is not None:
            return b""
        if not frame.startswith(b"data: {"):
            data = frame_data(frame).strip()
            self.done = data == b"[DONE]"
            if not data or self.done:
                return b""
        if self._passes(frame):
            return self._keep(frame)
        return self._read(frame)

    def _read(self, frame: bytes) -> bytes:
        """Parse a frame that may matter; return what the caller gets for it."""
        try:
            chunk = _decode(frame_data(frame))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SseError("a frame is not JSON") from error
        if not isinstance(chunk, dict):
            raise SseError("a frame is not an object")
        choices = chunk.get("choices")
        if chunk.get("error"):  # OpenRouter sends it beside choices
            found = chunk["error"]
            self.error = found if isinstance(found, dict) else {"message": str(found)}
            return b""
        if isinstance(choices, list):
            self.last = chunk
        if not choices or not isinstance(choices, list):
            self._note_usage(chunk)
            return b"" if chunk.get("usage") else frame
        if not all(isinstance(choice, dict) for choice in choices):
            raise SseError("a choice is not an object")
        self._keep(frame, 1 if self._note(choices) else 0)
        self._note_usage(chunk)
        if self._seed_fields is None:
            self._seed_fields = not _has_seed_fields(chunk)
        if self._seed_fields:
            return event(with_seed_fields(chunk))
        # Usage beside choices is the engine's word to us: the caller is told once, with the cost.
        return event({**chunk, "usage": None}) if chunk.get("usage") else frame

    def _note(self, choices: list[dict[str, Any]]) -> bool:
        """Return whether a chunk with these choices carries content."""
        deltas = [choice["delta"] for choice in choices if isinstance(choice.get("delta"), dict)]
        content = any(value for delta in deltas for name, value in delta.items() if name != "role")
        self.has_content = self.has_content or content
        return content

    def _note_usage(self, chunk: dict[str, Any]) -> None:
        """Keep what a chunk tells of usage: it tells of all content up to its own."""
        usage = parse_usage(chunk.get("usage"))
        if usage is not None:
            self.usage, self._usage_at = usage, self.chunks

    def _keep(self, frames: bytes, count: int = 1) -> bytes:
        """Remember frames with content until their text is asked for; return them."""
        if self.has_content:
            self.chunks += count
            self._frames.append(frames)
            self._bytes += len(frames)
            if self._bytes > FOLD_BYTES:
                self._fold()
        return frames

    def _fold(self) -> None:
        for frame in b"".join(self._frames).split(b"\n\n"):
            try:
                chunk = _decode(frame_data(frame + b"\n\n"))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            self._texts.extend(delta_texts(chunk))
        self._frames.clear()
        self._bytes = 0

    @property
    def final_usage(self) -> Usage | None:
        """The engine's usage where no content came after it: what a stream is charged, also one that was cut."""
        return self.usage if self._usage_at >= self.chunks else None

    def text(self) -> str:
        """Return all text that was received: content, reasoning, refusals, names and arguments of tool calls."""
        self._fold()
        joined = "".join(self._texts)
        self._texts = [joined]
        return joined


def delta_texts(chunk: object) -> list[str]:
    """Return the texts in the deltas (or messages) of a chunk, in order."""
    texts: list[str] = []
    if not isinstance(chunk, dict) or not isinstance(chunk.get("choices"), list):
        return texts
    for choice in chunk["choices"]:
        part = (choice.get("delta") or choice.get("message")) if isinstance(choice, dict) else None
        if not isinstance(part, dict):
            continue
        for name in ("reasoning_content", "reasoning", "content", "refusal"):
            if isinstance(part.get(name), str):
                texts.append(part[name])
        calls = part.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            for name in ("function", "custom"):
                texts.extend(_call_texts(call.get(name) if isinstance(call, dict) else None))
        texts.extend(_call_texts(part.get("function_call")))
    return texts


def _call_texts(call: object) -> list[str]:
    """Return what the model wrote of a call: its name, and its arguments or input."""
    written = [call.get(name) for name in ("name", "arguments", "input")] if isinstance(call, dict) else []
    return [text for text in written if isinstance(text, str)]


def _has_seed_fields(chunk: dict[str, Any]) -> bool:
    choice = chunk["choices"][0]
    return "service_tier" in chunk and "system_fingerprint" in chunk and "usage" in chunk and "logprobs" in choice


def with_seed_fields(chunk: dict[str, Any]) -> dict[str, Any]:
    """Return `chunk` with the fields of the seed document's sample, in its order."""
    return {
        "id": chunk.get("id"),
        "object": "chat.completion.chunk",
        "created": chunk.get("created"),
        "model": chunk.get("model"),
        "service_tier": chunk.get("service_tier") or "default",
        "system_fingerprint": chunk.get("system_fingerprint"),
        "choices": [
            {
                "index": choice.get("index", 0),
                "delta": choice.get("delta", {}),
                "logprobs": choice.get("logprobs"),
                "finish_reason": choice.get("finish_reason"),
            }
            for choice in chunk["choices"]
        ],
        "usage": None,
    }


def usage_chunk(last: dict[str, Any], usage: dict[str, Any], *, seed_fields: bool) -> bytes:
    """Return the frame with the call's usage, its head taken from the `last` chunk of the stream."""
    chunk = {
        "id": last.get("id"),
        "object": "chat.completion.chunk",
        "created": last.get("created"),
        "model": last.get("model"),
    }
    if seed_fields or "service_tier" in last:
        chunk["service_tier"] = last.get("service_tier") or "default"
    chunk["system_fingerprint"] = last.get("system_fingerprint")
    chunk["choices"] = []
    chunk["usage"] = usage
    return event(chunk)
