"""What an engine wrote down: whole in every format, or in events, with our usage in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minitoolai.core.sse import SseError, event
from minitoolai.core.transcript import Transcript, TranscriptEvents, as_stream
from minitoolai.core.transcription import ResponseFormat

USAGE = {"type": "duration", "seconds": 1.5, "cost": 0.00015}
TOKENS = {"type": "tokens", "input_tokens": 14, "output_tokens": 3, "total_tokens": 17}
HELLO = event({"type": "transcript.text.delta", "delta": "Hello", "logprobs": []})
WORLD = event({"type": "transcript.text.delta", "delta": " world."})
SEGMENT = event({"type": "transcript.text.segment", "id": "seg_0", "speaker": "A", "text": "Hello", "start": 0, "end": 1})
DONE = {"type": "transcript.text.done", "text": "Hello world.", "usage": TOKENS}
STREAM = HELLO + WORLD + SEGMENT + event(DONE)


def told(raw: object, response_format: ResponseFormat = "json") -> dict[str, Any]:
    """Return the body that a caller is sent for an engine's JSON."""
    body = Transcript(json.dumps(raw).encode(), response_format).body(1500, 0.00015)
    shown: dict[str, Any] = json.loads(body)
    return shown


def of_frame(frame: bytes) -> dict[str, Any]:
    """Return the data of one frame."""
    assert frame.startswith(b"data: ")
    assert frame.endswith(b"\n\n")
    shown: dict[str, Any] = json.loads(frame[6:])
    return shown


class TestWhole:
    """A whole reply."""

    def test_json_has_the_usage(self) -> None:
        """How long the sound is, as we measured it; everything else stays."""
        assert told({"text": "Hello."}) == {"text": "Hello.", "usage": USAGE}
        theirs = {"text": "Hello.", "logprobs": [{"token": "H"}], "usage": {"type": "duration", "seconds": 2}}
        assert told(theirs) == {**theirs, "usage": USAGE}
        verbose = {"task": "transcribe", "duration": 1.4, "text": "", "segments": [], "words": [{"word": "a"}]}
        assert told(verbose, "verbose_json") == {**verbose, "usage": USAGE}
        assert told({"text": "", "segments": [{}]}, "diarized_json")["usage"] == USAGE

    def test_tokens_of_the_engine_stay(self) -> None:
        """Beside the cost, as programs read them that were written for OpenAI."""
        assert told({"text": "x", "usage": TOKENS})["usage"] == {**TOKENS, "cost": 0.00015}

    @pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
    def test_text_is_text(self, response_format: ResponseFormat) -> None:
        """To the byte."""
        raw = "1\n00:00:00,000 --> 00:00:01,500\nZażółć\n\n".encode()
        assert Transcript(raw, response_format).body(1500, 0.1) == raw
        assert Transcript(raw, response_format).seconds is None
        with pytest.raises(ValueError, match="decode"):
            Transcript(b"\xff\xfe", response_format)

    @pytest.mark.parametrize(
        "raw", [b"", b"{", b"[]", b"null", b'"text"', b'{"text": 5}', b'{"error": {"message": "x"}}', b"[" * 5000, b"\xff"]
    )
    def test_what_is_no_transcript(self, raw: bytes) -> None:
        """A caller is never sent it."""
        with pytest.raises(ValueError):  # noqa: PT011 - msgspec's own sentences
            Transcript(raw, "json")

    @pytest.mark.parametrize(
        ("fields", "seconds"),
        [
            ({}, None), ({"duration": 3.5}, 3.5), ({"duration": "3"}, None), ({"duration": True}, None),
            ({"usage": {"type": "duration", "seconds": 4}}, 4.0), ({"usage": TOKENS, "duration": 9}, None),
        ],
    )  # fmt: skip
    def test_how_long_the_engine_finds_it(self, fields: dict[str, Any], seconds: float | None) -> None:
        """By its usage, or by its duration."""
        assert Transcript(json.dumps({"text": "", **fields}).encode(), "verbose_json").seconds == seconds


class TestEvents:
    """A stream."""

    @pytest.mark.parametrize("step", [1, 2, 7, 64, 10_000])
    def test_cut_anywhere(self, step: int) -> None:
        """All events but the last go on; the last waits for its usage."""
        events, out = TranscriptEvents(), b""
        for at in range(0, len(STREAM), step):
            assert not events.done
            out += events.feed(STREAM[at : at + step], 1000)
        assert events.done
        assert out == HELLO + WORLD + SEGMENT
        assert of_frame(events.last_frame(1500, 0.5)) == {**DONE, "usage": {**TOKENS, "cost": 0.5}}
        assert json.loads(events.body(1500, 0.5)) == {"text": "Hello world.", "usage": {**TOKENS, "cost": 0.5}}
        assert events.end() == b""

    def test_what_is_no_event_of_ours(self) -> None:
        """Comments, unknown events, `[DONE]` and what follows the end are left out."""
        events = TranscriptEvents()
        noise = b": hi\n\n" + event({"type": "session.created"}) + event({"type": "transcript.text.done"})
        assert events.feed(noise + HELLO, 1000) == HELLO
        assert not events.done
        assert events.feed(event({**DONE, "usage": None}) + b"data: [DONE]\n\n" + WORLD, 1000) == b""
        assert of_frame(events.last_frame(1500, 0.00015))["usage"] == USAGE
        assert events.seconds is None

    @pytest.mark.parametrize(
        "frame",
        [
            b"data: nonsense\n\n", b"data: [1]\n\n", event({"error": {"message": "x"}}), event({"type": "error"}),
            b"data: " + b"[" * 5000 + b"\n\n",
        ],
        ids=["no json", "a list", "error", "error by type", "deep"],
    )  # fmt: skip
    def test_what_breaks_it(self, frame: bytes) -> None:
        """An error of the engine, or nonsense."""
        events = TranscriptEvents()
        events.feed(HELLO, 1000)
        with pytest.raises(SseError):
            events.feed(frame, 1000)

    @pytest.mark.parametrize("sent", [b"", HELLO, HELLO[:-5], b" \n"])
    def test_a_stream_without_an_end(self, sent: bytes) -> None:
        """Is not whole."""
        events = TranscriptEvents()
        events.feed(sent, 1000)
        with pytest.raises(SseError):
            events.end()

    @pytest.mark.parametrize("step", [1, 9, 1000])
    def test_an_engine_that_does_not_stream(self, step: int) -> None:
        """Its whole reply is the stream: one delta and the end."""
        whole = json.dumps({"text": "Hello", "duration": 1.4}).encode()
        events = TranscriptEvents()
        assert b"".join(events.feed(whole[at : at + step], 1000) for at in range(0, len(whole), step)) == b""
        assert of_frame(events.end()) == {"type": "transcript.text.delta", "delta": "Hello"}
        assert events.done
        assert events.seconds == 1.4
        shown = of_frame(events.last_frame(1500, 0.00015))
        assert shown == {"type": "transcript.text.done", "text": "Hello", "duration": 1.4, "usage": USAGE}

    @pytest.mark.parametrize("whole", [b"{", b'{"text": 5}', b'{"error": {}}', b'{"a": "\xff"}'])
    def test_a_whole_reply_that_is_none(self, whole: bytes) -> None:
        """Cut, without text, no UTF-8."""
        events = TranscriptEvents()
        events.feed(whole, 1000)
        with pytest.raises(SseError):
            events.end()

    def test_a_whole_reply_without_end(self) -> None:
        """Bounded."""
        events = TranscriptEvents()
        events.feed(b'{"text": "', 1000)
        with pytest.raises(SseError):
            events.feed(b"a" * 1000, 1000)


def test_a_kept_reply_is_streamed_again() -> None:
    """One delta and the end, as it was told the first time."""
    kept = json.dumps({"text": "Hello", "usage": USAGE}).encode()
    first, second = as_stream(kept).split(b"\n\n")[:2]
    assert of_frame(first + b"\n\n") == {"type": "transcript.text.delta", "delta": "Hello"}
    assert of_frame(second + b"\n\n") == {"type": "transcript.text.done", "text": "Hello", "usage": USAGE}
