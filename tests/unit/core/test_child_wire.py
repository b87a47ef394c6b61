"""The wire between this server and its own children, at every byte boundary."""

from __future__ import annotations

import pytest

from minitoolai.core.child_wire import HEAD, BadFrame, Frames, frame
from minitoolai.core.drawing_wire import MAX_FRAME_BYTES, Kind, progress

SENT = [(Kind.PROGRESS, progress(0.25)[HEAD.size :]), (Kind.PICTURE, b"\x89PNG" * 9), (Kind.FAILED, b"")]


@pytest.mark.parametrize("size", range(1, 20))
def test_frames_arrive_in_pieces(size: int) -> None:
    """However the bytes are cut, the same frames come out, in their order."""
    sent = b"".join(frame(kind, content) for kind, content in SENT)
    frames = Frames(Kind, MAX_FRAME_BYTES)
    found = [each for start in range(0, len(sent), size) for each in frames.receive(sent[start : start + size])]
    assert found == SENT


def test_frames_arrive_together() -> None:
    """Several in one piece, and the beginning of one more is kept."""
    frames = Frames(Kind, MAX_FRAME_BYTES)
    sent = b"".join(frame(kind, content) for kind, content in SENT)
    assert frames.receive(sent + sent[:3]) == SENT
    assert frames.receive(sent[3:]) == SENT


@pytest.mark.parametrize("head", [HEAD.pack(len(Kind), 0), HEAD.pack(Kind.PICTURE, MAX_FRAME_BYTES + 1)])
def test_what_is_no_frame_is_refused(head: bytes) -> None:
    """An unknown kind, or more than any picture has: before its bytes are waited for."""
    with pytest.raises(BadFrame):
        Frames(Kind, MAX_FRAME_BYTES).receive(head)
