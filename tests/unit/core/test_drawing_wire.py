"""The wire between a worker and the child that draws, at every byte boundary."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minitoolai.core.child_wire import HEAD, LENGTH, BadFrame, BadOrder, order_bytes
from minitoolai.core.drawing_wire import MAX_ORDER_BYTES, Order, fraction_of, progress, read_order
from minitoolai.core.pictures import MAX_PROMPT_CHARACTERS
from tests.support.onnx_child import asked


def test_an_order_arrives() -> None:
    """What is sent is what is read, its length before it."""
    for order in (Order(asked()), Order(asked(prompt="żółw 🐢", width=1343), native_size=256)):
        sent = order_bytes(order)
        (length,) = LENGTH.unpack(sent[: LENGTH.size])
        assert length == len(sent) - LENGTH.size
        assert read_order(sent[LENGTH.size :]) == order


def test_the_longest_order_is_taken() -> None:
    """Prompts of characters that JSON writes with six bytes each."""
    longest = "\x00" * MAX_PROMPT_CHARACTERS
    sent = order_bytes(Order(asked(prompt=longest, negative_prompt=longest), 2048))
    assert len(sent) <= MAX_ORDER_BYTES


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 255), ("width", 1345), ("height", 0), ("height", 10**9), ("steps", 0), ("steps", 9), ("cfg_scale", 0.9),
        ("cfg_scale", 7.1), ("seed", -1), ("seed", 2**32), ("scheduler", "DDIM"), ("prompt", "x" * 4001),
        ("negative_prompt", "x" * 4001), ("seed", "7"), ("width", 256.5), ("steps", None), ("native_size", 63),
        ("native_size", 2049), ("typo", 1),
    ],
)  # fmt: skip
def test_orders_that_nobody_may_give_are_refused(field: str, value: object) -> None:
    """Each field outside its bounds, or of another kind, with its name."""
    document = json.loads(order_bytes(Order(asked()))[LENGTH.size :])
    place: dict[str, Any] = document if field in ("native_size", "typo") else document["request"]
    place[field] = value
    with pytest.raises(BadOrder, match=field):
        read_order(json.dumps(document).encode())


@pytest.mark.parametrize("content", [b"", b"nope", b"[]", b"{}", b"\xff", b'{"request":{}}'])
def test_what_is_no_order_is_refused(content: bytes) -> None:
    """No JSON, no object, no request."""
    with pytest.raises(BadOrder):
        read_order(content)


def test_progress_is_a_share() -> None:
    """From 0 to 1, and nothing else."""
    assert [fraction_of(progress(fraction)[HEAD.size :]) for fraction in (0, 0.3, 1)] == [0, 0.3, 1]
    for content in (b"", b"\0" * 7, progress(1.1)[HEAD.size :], progress(float("nan"))[HEAD.size :]):
        with pytest.raises(BadFrame):
            fraction_of(content)
