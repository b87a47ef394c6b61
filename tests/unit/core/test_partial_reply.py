"""A whole reply that was cut off is read as far as it came, and no further."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.chat_stream import delta_texts
from minitoolai.core.partial_reply import partial_texts
from minitoolai.core.tokens import count_text

TEXT = 'zażółć "gęślą"\n\\ud83d 😀 jaźń\t\u2028\\'
CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"in": "Łódź", "content": "\\n"}'}}
#: What an engine writes, and around it what it did not: sources, log-probabilities, a prompt repeated.
REPLY: dict[str, Any] = {
    "id": "x", "created": 1.5e3, "cut": True,
    "choices": [
        {"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "reasoning_content": "hm, 5 {[", "content": TEXT, "refusal": None,
            "annotations": [{"type": "url_citation", "url_citation": {"content": "a page's text"}}],
            "tool_calls": [CALL, {**CALL, "type": "custom", "custom": {"name": "c", "input": "in"}}]},
         "logprobs": {"content": [{"token": "z", "logprob": -0.5, "top_logprobs": []}]}},
        {"index": 1, "finish_reason": "stop", "message": {"content": "second", "refusal": "no"}},
        {"index": 2, "message": {"content": None, "function_call": {"name": "old", "arguments": "{}"}}},
    ],
    "echo": {"choices": [{"message": {"content": "not written"}}]},
}  # fmt: skip


def raw_of(reply: object, *, ascii_only: bool) -> bytes:
    """A reply as it travels."""
    return json.dumps(reply, ensure_ascii=ascii_only).encode()


@pytest.mark.parametrize("ascii_only", [True, False])
def test_each_byte_adds_a_character_at_most(*, ascii_only: bool) -> None:
    """What is read of a message is a beginning of it, and no character is missing but one cut in half."""
    raw = raw_of({"choices": [{"message": {"role": "assistant", "content": TEXT}}]}, ascii_only=ascii_only)
    longest = 0
    for border in range(len(raw) + 1):
        found = "".join(partial_texts(raw[:border]))
        assert TEXT.startswith(found), (border, found)
        assert len(found) in (longest, longest + 1)
        longest = len(found)
    assert longest == len(TEXT)


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, 1])
def test_all_that_was_written_is_read_at_every_border(indent: int | None, *, ascii_only: bool) -> None:
    """Content, reasoning, refusals and calls of all choices, in their order, and nothing that stands beside them."""
    raw = json.dumps(REPLY, ensure_ascii=ascii_only, indent=indent).encode()
    whole = delta_texts(REPLY)
    assert partial_texts(raw) == whole
    before = 0
    for border in range(len(raw)):
        found = partial_texts(raw[:border])
        assert len(found) <= len(whole)
        assert all(text.startswith(part) for part, text in zip(found, whole, strict=False)), (border, found)
        assert sum(map(len, found)) >= before, "what was read once is not lost"
        before = sum(map(len, found))
    assert before == sum(map(len, whole))


_WRITTEN = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["the quick brown fox", '{"content": "a", "b": ["\\\\"]}', "\\\\\\", "😀😀", "\x00\x1f"]
)
_MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "content": st.none() | _WRITTEN,
        "reasoning": _WRITTEN,
        "refusal": st.none() | _WRITTEN,
        "title": _WRITTEN,
        "audio": st.dictionaries(_WRITTEN, _WRITTEN | st.integers() | st.booleans(), max_size=2),
        "tool_calls": st.lists(
            st.fixed_dictionaries({"function": st.fixed_dictionaries({"arguments": _WRITTEN})}), max_size=2
        ),
    },
)


@given(st.lists(_MESSAGES, max_size=3), st.booleans(), st.sampled_from([None, 2]))
def test_any_reply_cut_anywhere(messages: list[dict[str, Any]], ascii_only: bool, indent: int | None) -> None:
    """At each byte no more is read than there is in the whole: each text found begins one of its own."""
    reply = {"choices": [{"message": message} for message in messages]}
    raw = json.dumps(reply, ensure_ascii=ascii_only, indent=indent).encode()
    whole = delta_texts(reply)
    assert partial_texts(raw) == whole
    for border in range(len(raw)):
        left = list(whole)
        for part in partial_texts(raw[:border]):
            left.remove(next(text for text in left if text.startswith(part)))


def test_no_more_tokens_than_in_the_whole() -> None:
    """Of ordinary text a beginning has no more tokens."""
    words = " ".join(["The weather in Juneau is cold and wet, as always."] * 3)
    raw = raw_of({"choices": [{"message": {"content": words}}, {"message": {"content": words}}]}, ascii_only=True)
    most = count_text(words * 2)
    counts = [count_text("".join(partial_texts(raw[:border]))) for border in range(len(raw) + 1)]
    assert max(counts) == counts[-1] == most


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>", b"{", b'{"', b"[", b"5", b'"a', b"\xff", b'{"choices"', b'{"choices":[{"message":{"content":null',
     b"}]", b'{"choices":[{"message":{"content":"a"}]', b"[" * 100_000,
     b'{"choices":[{"message":{"content":"a\\qb', b'{,"a'],
)  # fmt: skip
def test_a_reply_without_text_has_none(raw: bytes) -> None:
    """Cut before it begins, or no JSON: such a reply could not have been charged whole either."""
    assert partial_texts(raw) == []


@pytest.mark.parametrize("piece", ['\\"', "\\\\", '{"a":[1,"', "\u00e9", '"token": -0.5, '])
def test_a_long_reply_takes_no_longer_than_it_is(piece: str) -> None:
    """The event loop waits for it: a megabyte takes a few hundredths of a second, whatever is in it."""
    text = piece * (1024 * 1024 // len(piece))
    raw = raw_of({"choices": [{"message": {"content": text}}]}, ascii_only=False)[:-5]
    began = time.perf_counter()
    assert partial_texts(raw)[0] == text[: len(partial_texts(raw)[0])]
    assert time.perf_counter() - began < 2
