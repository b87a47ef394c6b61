"""An engine's reply for embeddings is checked, and its vectors are given in the encoding that the caller asked for."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.embeddings import EmbeddingRequest, read_reply

REQUEST = EmbeddingRequest("m", {}, ("one", [1, 2]), listed=True)
FLOATS = st.lists(
    st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2**20), max_value=2**20), min_size=1
)


def packed(*numbers: float) -> str:
    """A vector as base64."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def reply(*vectors: Any, **more: Any) -> bytes:
    """An engine's reply."""
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return json.dumps({"object": "list", "data": data, "model": "theirs", **more}).encode()


def test_paths_name_the_text() -> None:
    """One text is `input` itself."""
    assert REQUEST.param(1) == "input[1]"
    assert replace(REQUEST, listed=False).param(0) == "input"


def test_numbers_pass_as_they_were_written() -> None:
    """Not a digit is changed."""
    raw = b'{"data": [{"index": 1, "embedding": [1e-9,\n 2.50]}, {"index": 0, "embedding": [ 0.1 , -3]}]}'
    body = read_reply(raw, REQUEST).body("ours", 3, 0.5)
    assert b"[1e-9,\n 2.50]" in body
    shown = json.loads(body)
    assert [item["index"] for item in shown["data"]] == [0, 1]
    assert [item["embedding"] for item in shown["data"]] == [[0.1, -3], [1e-9, 2.5]]
    assert shown["usage"] == {"prompt_tokens": 3, "total_tokens": 3, "cost": 0.5}
    assert (shown["object"], shown["model"], shown["data"][0]["object"]) == ("list", "ours", "embedding")


@given(FLOATS)
def test_the_encoding_is_the_callers_whichever_the_engine_chose(numbers: list[float]) -> None:
    """32-bit numbers come through to the bit, both ways."""
    for sent in (numbers, packed(*numbers)):
        for wanted in (True, False):
            found = read_reply(reply(sent, sent), replace(REQUEST, base64=wanted))
            for vector in json.loads(found.body("m", 1, 0.0))["data"]:
                given_back = vector["embedding"]
                if wanted:
                    given_back = list(struct.unpack(f"<{len(numbers)}f", base64.b64decode(given_back)))
                assert given_back == numbers


def test_what_the_engine_says_of_itself() -> None:
    """Its name for the model and its usage, where that can be billed from."""
    found = read_reply(reply([1.0], [2.0], usage={"prompt_tokens": 7, "total_tokens": 7}), REQUEST)
    assert found.model == "theirs"
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (7, 0)
    for usage in (None, 5, {}, {"prompt_tokens": -1}, {"prompt_tokens": "7"}, {"prompt_tokens": True}, {"total_tokens": 7}):
        assert read_reply(reply([1.0], [2.0], usage=usage), REQUEST).usage is None
    assert read_reply(reply([1.0], [2.0], model=5), REQUEST).model is None


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"{}", b'{"data": 5}', b'{"data": [{"index": 0}]}', b'{"data": [{"embedding": [1]}]}',
        b'{"data": ' + b"[" * 5000 + b"]" * 5000 + b"}", b"\xff",
        b'{"data": [{"index": 0, "embedding": ' + b"[" * 5000 + b"]" * 5000 + b"}]}",
        reply([1.0]), reply([1.0], [2.0], [3.0]), reply(),
        reply([1.0], [2.0]).replace(b'"index": 1', b'"index": 0'), reply([1.0], [2.0]).replace(b'"index": 1', b'"index": 2'),
        reply([], []), reply([1.0], [1.0, 2.0]), reply(["1"], [2.0]), reply([None], [2.0]), reply([[1.0]], [2.0]),
        reply({"a": 1}, [2.0]), reply("no base64!", "no base64!"), reply("AAA=", "AAA="), reply("", ""),
        reply(packed(float("nan")), packed(1.0)), reply(packed(1.0), packed(float("inf"))),
        reply([1.0], [2.0]).replace(b"2.0", b"1e999"), reply([1.0], [2.0]).replace(b"2.0", b"NaN"),
    ],
    ids=lambda raw: raw[:60].decode("latin-1"),
)  # fmt: skip
def test_a_reply_that_is_not_what_was_asked_for(raw: bytes) -> None:
    """One finite vector for each text, all of one size above 0; else it is no reply."""
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        read_reply(raw, REQUEST)


def test_numbers_that_32_bits_cannot_hold() -> None:
    """They cannot be given as base64."""
    with pytest.raises(ValueError, match="32 bits"):
        read_reply(reply([1e300], [1.0]), replace(REQUEST, base64=True))


def test_dimensions_asked_for_are_those_given() -> None:
    """An engine that ignores them has not answered."""
    asked = replace(REQUEST, dimensions=2)
    assert len(read_reply(reply([1.0, 2.0], [3.0, 4.0]), asked).vectors) == 2
    with pytest.raises(ValueError, match="size"):
        read_reply(reply([1.0], [3.0]), asked)
