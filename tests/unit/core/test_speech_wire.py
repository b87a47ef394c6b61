"""The wire between this server and a child that speaks: what may be ordered, and what comes back."""

from __future__ import annotations

import json

import pytest

from minitoolai.core.child_wire import LENGTH, BadFrame, BadOrder, Frames, order_bytes
from minitoolai.core.speech import MAX_JOB_CHARACTERS, SpeechRequest, Voice
from minitoolai.core.speech_wire import (
    MAX_FRAME_BYTES,
    MAX_ORDER_BYTES,
    Kind,
    Refusal,
    SpeechOrder,
    VoicesOrder,
    characters_of,
    read_order,
    refusal_of,
    refused,
    spoken,
    voices_frame,
    voices_of,
)


@pytest.mark.parametrize(
    "order",
    [
        SpeechOrder(SpeechRequest("Hello")),
        SpeechOrder(SpeechRequest("żółw 🐢", "pl+f3", "pl", 0.25, 2.0, "pcm", ssml=True, instructions="low"), urgent=False),
        VoicesOrder(),
    ],
)
def test_an_order_arrives(order: SpeechOrder | VoicesOrder) -> None:
    """What is sent is what is read."""
    assert read_order(order_bytes(order)[LENGTH.size :]) == order


def test_the_longest_order_is_taken() -> None:
    """A text of characters that JSON writes with six bytes each."""
    sent = order_bytes(SpeechOrder(SpeechRequest("\x00" * MAX_JOB_CHARACTERS)))
    assert len(sent) <= MAX_ORDER_BYTES


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", ""), ("text", "x" * (MAX_JOB_CHARACTERS + 1)), ("text", None), ("speed", 0.24), ("speed", 4.1),
        ("speed", "1"), ("pitch", 0.4), ("pitch", 2.1), ("format", "exe"), ("ssml", 1),
    ],
)  # fmt: skip
def test_orders_that_nobody_may_give_are_refused(field: str, value: object) -> None:
    """Each field outside its bounds, or of another kind, with its name."""
    document = json.loads(order_bytes(SpeechOrder(SpeechRequest("Hello")))[LENGTH.size :])
    document["request"][field] = value
    with pytest.raises(BadOrder, match=field):
        read_order(json.dumps(document).encode())


@pytest.mark.parametrize("content", [b"", b"nope", b"[]", b"{}", b"\xff", b'{"type":"speech"}', b'{"type":"walk"}'])
def test_what_is_no_order_is_refused(content: bytes) -> None:
    """No JSON, no object, no request, another kind of order."""
    with pytest.raises(BadOrder):
        read_order(content)


def test_what_frames_say_arrives() -> None:
    """Counts, refusals and voices."""
    refusal, voices = Refusal("voice", "there is none."), [Voice("pl", "Polish", "pl", "male"), Voice("x", "X", "")]
    sent = spoken(4_000_000_000) + refused(refusal) + voices_frame(voices)
    (count, no, listed) = Frames(Kind, MAX_FRAME_BYTES).receive(sent)
    assert (count[0], characters_of(count[1])) == (Kind.SPOKEN, 4_000_000_000)
    assert (no[0], refusal_of(no[1])) == (Kind.REFUSED, refusal)
    assert (listed[0], voices_of(listed[1])) == (Kind.VOICES, voices)


@pytest.mark.parametrize("content", [b"", b"\x00" * 3, b"\x00" * 5, b"{]"])
def test_what_is_none_of_it_is_refused(content: bytes) -> None:
    """Contents of another form."""
    for read in (characters_of, refusal_of, voices_of):
        with pytest.raises(BadFrame):
            read(content)
