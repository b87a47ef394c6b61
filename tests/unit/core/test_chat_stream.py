"""Chat streams are read just as far as money needs."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core import chat_stream, sse
from minitoolai.core.chat_stream import ChatScanner, delta_texts
from minitoolai.core.inference import Usage
from minitoolai.core.sse import SseError, event, frame_data
from tests.unit.core.pieces import LINE_ENDS, cut, with_ends


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk as most engines send it."""
    choice = {"index": 0, "delta": delta if delta is not None else {}, "finish_reason": finish}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m"}
    return {**head, "choices": [choice], **more}


def seed_chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A chunk as OpenAI sends it: all the fields of the seed's sample."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return {
        **chunk(),
        "service_tier": "default",
        "system_fingerprint": "fp",
        "choices": [choice],
        "usage": None,
        **more,
    }


HELLO = event(chunk({"content": "hello"}))


USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


class TestChatScanner:
    """What is forwarded, what is held back, what is noted."""

    def test_usage_and_done_are_held_back(self) -> None:
        """The gateway sends its own once the call is captured."""
        scanner = ChatScanner(seed_fields=False)
        last = event({**chunk(), "choices": [], "usage": USAGE})
        assert scanner.feed(HELLO + last + sse.DONE) == HELLO
        assert scanner.usage == Usage(3, 4, USAGE)
        assert scanner.done
        assert scanner.has_content
        assert scanner.text() == "hello"

    @pytest.mark.parametrize("end", LINE_ENDS)
    @pytest.mark.parametrize("seed_fields", [True, False])
    def test_at_every_border(self, end: bytes, *, seed_fields: bool) -> None:
        """A whole stream, cut at each byte, gives the same bytes and the same figures."""
        frames = [chunk({"role": "assistant", "content": ""}), chunk({"content": "zażółć"}), chunk({"content": " 😀"})]
        stream = b": hi\n\n" + b"".join(event(each) for each in frames) + event({**chunk(finish="stop"), "usage": None})
        stream += event({**chunk(), "choices": [], "usage": USAGE}) + sse.DONE
        whole = ChatScanner(seed_fields=seed_fields)
        expected = whole.feed(stream)
        assert whole.text() == "zażółć 😀"
        stream = with_ends(stream, end)
        for border in range(len(stream) + 1):
            scanner = ChatScanner(seed_fields=seed_fields)
            assert b"".join(scanner.feed(part) for part in cut(stream, border)) == expected
            assert (scanner.usage, scanner.done, scanner.text()) == (whole.usage, True, "zażółć 😀")

    def test_nothing_is_read_after_done(self) -> None:
        """Whatever an engine adds."""
        scanner = ChatScanner(seed_fields=False)
        assert scanner.feed(b"data:[DONE]\n\n" + HELLO) == b""
        assert scanner.feed(HELLO) == b""
        assert not scanner.has_content

    @pytest.mark.parametrize("after_content", [False, True])
    @pytest.mark.parametrize("beside", [{}, {"choices": []}, chunk({"content": ""})])
    @pytest.mark.parametrize("error", [{"message": "overloaded", "code": 5}, "overloaded"])
    def test_an_error_event_is_not_forwarded(self, error: object, beside: dict[str, Any], *, after_content: bool) -> None:
        """The gateway writes its own; what comes after is not read."""
        scanner = ChatScanner(seed_fields=False)
        before = HELLO if after_content else b""
        assert scanner.feed(before + event({**beside, "error": error}) + HELLO) == before
        assert scanner.error is not None
        assert scanner.error["message"] == "overloaded"
        assert scanner.text() == ("hello" if after_content else "")
        assert not scanner.done

    def test_error_null_beside_choices_is_no_error(self) -> None:
        """Some engines send it in every chunk."""
        scanner = ChatScanner(seed_fields=False)
        frame = event(chunk({"content": "a"}, error=None))
        assert scanner.feed(HELLO + frame) == HELLO + frame
        assert scanner.error is None

    @pytest.mark.parametrize("seed_fields", [True, False])
    @pytest.mark.parametrize("first", [chunk, seed_chunk])
    def test_usage_beside_choices_is_noted_and_not_shown(self, first: Any, *, seed_fields: bool) -> None:
        """Mistral sends it in the last chunk of content, vLLM on demand in each: the caller is told once, by us."""
        scanner = ChatScanner(seed_fields=seed_fields)
        out = scanner.feed(event(first({"content": "a"})) + event({**first({"content": "b"}), "usage": USAGE}))
        assert scanner.usage == Usage(3, 4, USAGE)
        assert b"prompt_tokens" not in out
        assert scanner.text() == "ab"

    @pytest.mark.parametrize("beside", [{}, {"choices": None}, {"choices": []}, {"choices": {}}])
    def test_usage_without_choices_is_noted_and_not_shown(self, beside: dict[str, Any]) -> None:
        """The caller's is ours, with the cost."""
        scanner = ChatScanner(seed_fields=False)
        assert scanner.feed(HELLO + event({**beside, "usage": USAGE})) == HELLO
        assert scanner.usage == Usage(3, 4, USAGE)

    def test_usage_null_is_no_usage(self) -> None:
        """OpenAI sends it in every chunk but the last, with and without a space."""
        scanner = ChatScanner(seed_fields=False)
        spaced = b'data: {"choices":[{"delta":{"content":"b"}}],"usage": null}\n\n'
        empty = event({**chunk(), "choices": [], "usage": None})
        stream = event(seed_chunk({"content": "a"})) + spaced + empty
        assert scanner.feed(stream) == stream
        assert scanner.usage is None

    def test_the_last_usage_counts(self) -> None:
        """One that cannot be billed from does not replace one that can."""
        scanner = ChatScanner(seed_fields=False)
        for usage in ({"prompt_tokens": 3, "completion_tokens": 1}, USAGE, {"prompt_tokens": -1}):
            scanner.feed(event({**chunk(), "choices": [], "usage": usage}))
        assert scanner.usage == Usage(3, 4, USAGE)

    def test_the_word_usage_in_content_changes_nothing(self) -> None:
        """Quotes are escaped inside of a string."""
        scanner = ChatScanner(seed_fields=False)
        said = event(chunk({"content": '"usage":null "usage":{"prompt_tokens":1} "error"'}))
        assert scanner.feed(HELLO + said) == HELLO + said
        assert scanner.usage is None
        assert scanner.error is None

    def test_the_seed_fields_are_completed(self) -> None:
        """In the order of the seed's sample."""
        scanner = ChatScanner(seed_fields=True)
        out = json.loads(frame_data(scanner.feed(HELLO)))
        assert list(out) == [
            "id", "object", "created", "model", "service_tier", "system_fingerprint", "choices", "usage",
        ]  # fmt: skip
        assert (out["service_tier"], out["system_fingerprint"], out["usage"]) == ("default", None, None)
        assert out["choices"] == [{"index": 0, "delta": {"content": "hello"}, "logprobs": None, "finish_reason": None}]
        again = json.loads(frame_data(scanner.feed(event(chunk(finish="stop")))))
        assert again["choices"][0]["finish_reason"] == "stop"

    def test_chunks_that_have_the_seed_fields_are_untouched(self) -> None:
        """OpenAI's go through as they came."""
        scanner = ChatScanner(seed_fields=True)
        stream = b"".join(event(seed_chunk({"content": text})) for text in "abc")
        assert scanner.feed(stream) == stream

    @pytest.mark.parametrize(
        ("delta", "content"),
        [
            ({}, False), ({"role": "assistant"}, False), ({"role": "assistant", "content": ""}, False),
            ({"content": None, "refusal": None}, False), ({"tool_calls": []}, False), ({"content": "a"}, True),
            ({"refusal": "no"}, True), ({"reasoning_content": "hm"}, True),
            ({"tool_calls": [{"index": 0, "function": {"name": "f"}}]}, True),
        ],
    )  # fmt: skip
    def test_what_counts_as_content(self, delta: dict[str, Any], *, content: bool) -> None:
        """A role is none: from the first content on a broken call is charged."""
        scanner = ChatScanner(seed_fields=False)
        scanner.feed(event(chunk(delta)))
        assert scanner.has_content == content
        assert scanner.chunks == int(content)

    def test_text_has_everything_that_was_produced(self) -> None:
        """Reasoning, content, refusals, names and arguments of tool calls, of all choices."""
        scanner = ChatScanner(seed_fields=False)
        calls = [{"function": {"name": "weather", "arguments": "{"}}, {"function": {"arguments": "}"}}, {"id": "x"}, 5]
        scanner.feed(event(chunk({"reasoning_content": "a", "content": "b", "refusal": "c"})))
        scanner.feed(event(chunk({"tool_calls": calls, "content": None})))
        scanner.feed(event({**chunk(), "choices": [{"delta": {"content": "d"}}, {"message": {"content": "e"}}]}))
        assert scanner.text() == "abcweather{}de"
        scanner.feed(event(chunk({"content": "f"})))
        assert scanner.text() == "abcweather{}def"

    def test_a_long_stream_keeps_its_text_and_not_its_frames(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Folding changes nothing but memory."""
        monkeypatch.setattr(chat_stream, "FOLD_BYTES", 500)
        scanner = ChatScanner(seed_fields=False)
        for number in range(100):
            scanner.feed(event(chunk({"content": f"{number} "})))
            assert sum(map(len, scanner._frames)) <= 500
        assert scanner.text() == "".join(f"{number} " for number in range(100))
        assert scanner.chunks == 100

    def test_a_broken_frame_after_content_ends_the_stream(self) -> None:
        """What came before it is passed on and counted."""
        scanner = ChatScanner(seed_fields=False)
        broken = b'data: {"choices":[{"delta":\n\n'
        assert scanner.feed(HELLO + broken) == HELLO
        assert scanner.error is not None
        assert scanner.text() == "hello"

    @pytest.mark.parametrize(
        "frame",
        [b"data: hello\n\n", b"data: [1]\n\n", b'data: "a"\n\n', b"data: {\n\n", b'data: {"a":"\xff"}\n\n',
         b"data: " + b"[" * 100_000 + b"\n\n", b'data: {"choices":[null]}\n\n', b'data: {"choices":[[]]}\n\n'],
    )  # fmt: skip
    @pytest.mark.parametrize("seed_fields", [True, False])
    def test_what_is_no_chunk_ends_the_stream(self, frame: bytes, *, seed_fields: bool) -> None:
        """An HTML page, an array, half a frame."""
        scanner = ChatScanner(seed_fields=seed_fields)
        with pytest.raises(SseError):
            scanner.feed(frame)

    @pytest.mark.parametrize("frame", [b": c\n\n", b"event: ping\n\n", b"retry: 100\n\n", b"data:\n\n", b"id\n\n"])
    def test_frames_without_data_are_dropped(self, frame: bytes) -> None:
        """The standard has them dispatch no event."""
        scanner = ChatScanner(seed_fields=False)
        assert scanner.feed(frame + HELLO + frame) == HELLO

    def test_a_comment_before_data_does_not_hide_it(self) -> None:
        """They are one frame."""
        scanner = ChatScanner(seed_fields=True)
        assert b"hello" in scanner.feed(b": OPENROUTER PROCESSING\n" + HELLO)
        assert scanner.text() == "hello"

    def test_data_over_several_lines_is_one_chunk(self) -> None:
        """The standard joins them by newlines, which JSON takes for space."""
        scanner = ChatScanner(seed_fields=True)
        frame = b'data: {"choices":\ndata: [{"delta":{"content":"hello"}}]}\n\n'
        assert b"hello" in scanner.feed(frame)
        assert scanner.text() == "hello"

    def test_chunks_without_choices_go_through(self) -> None:
        """Azure's first frame has none worth the name."""
        scanner = ChatScanner(seed_fields=False)
        frame = event({"object": "x", "prompt_filter_results": []})
        assert scanner.feed(frame) == frame
        assert scanner.last == {}

    @given(st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(["choices", "delta", "message", "usage", "error", "content", "tool_calls", "function",
                             "name", "logprobs", "service_tier", "system_fingerprint"]), inner, max_size=4),
        max_leaves=15,
    ), st.booleans())  # fmt: skip
    def test_any_json_is_survived(self, frame: Any, seed_fields: bool) -> None:
        """An engine's nonsense ends in `SseError` or in nothing: settling must never fail over it."""
        for data in (frame, {"choices": frame}, {"choices": [{"delta": frame}]}):
            scanner = ChatScanner(seed_fields=seed_fields)
            with contextlib.suppress(SseError):
                scanner.feed(HELLO + event(data) + event(data))
            assert scanner.text().startswith("hello")
            assert all(isinstance(text, str) for text in delta_texts(data))


def test_the_usage_chunk_takes_its_head_from_the_stream() -> None:
    """With the seed's fields where they are asked for or were there."""
    plain = json.loads(frame_data(chat_stream.usage_chunk(chunk(), {"cost": 1}, seed_fields=False)))
    assert plain == {
        "id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m", "system_fingerprint": None,
        "choices": [], "usage": {"cost": 1},
    }  # fmt: skip
    assert json.loads(frame_data(chat_stream.usage_chunk({}, {}, seed_fields=True)))["service_tier"] == "default"
    last = {"service_tier": "flex", "system_fingerprint": "fp"}
    shown = json.loads(frame_data(chat_stream.usage_chunk(last, {}, seed_fields=False)))
    assert (shown["service_tier"], shown["system_fingerprint"]) == ("flex", "fp")
