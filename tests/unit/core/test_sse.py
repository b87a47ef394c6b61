"""Streams are cut into frames at every border."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core import sse
from minitoolai.core.sse import FrameSplitter, SseError, event, frame_data
from tests.unit.core.pieces import LINE_ENDS, cut, with_ends

#: Comments, several data lines, other fields, blank lines too many, a character of four bytes.
STREAM = (
    b": hello\n\n" b'data: {"a":1}\n\n' b"event: ping\ndata: one\ndata: two\n\n\n\n" b"data:\xf0\x9f\x98\x80\n\n\n"
    b": more\ndata: three\n\n" b"id: 7\n\n" b"data: [DONE]\n\n"
)  # fmt: skip


FRAMES = [
    b": hello\n\n", b'data: {"a":1}\n\n', b"event: ping\ndata: one\ndata: two\n\n", b"data:\xf0\x9f\x98\x80\n\n",
    b": more\ndata: three\n\n", b"id: 7\n\n", b"data: [DONE]\n\n",
]  # fmt: skip


class TestFrameSplitter:
    """Bytes in, frames out."""

    @pytest.mark.parametrize("end", LINE_ENDS)
    def test_at_every_border(self, end: bytes) -> None:
        """The frames do not depend on where the stream was cut."""
        stream = with_ends(STREAM, end)
        for border in range(len(stream) + 1):
            splitter = FrameSplitter()
            frames = [frame for part in cut(stream, border) for frame in splitter.feed(part)]
            assert frames == FRAMES, border
            assert splitter._rest.strip() == b""

    @pytest.mark.parametrize("end", LINE_ENDS)
    def test_byte_by_byte(self, end: bytes) -> None:
        """Each frame comes with the byte that ends it, not later."""
        splitter = FrameSplitter()
        frames: list[bytes] = []
        for number, byte in enumerate(with_ends(b"data: a\n\ndata: b\n\n", end)):
            frames += splitter.feed(bytes([byte]))
            if number == len(with_ends(b"data: a\n\n", end)) - 1:
                assert frames == [b"data: a\n\n"]
        assert frames == [b"data: a\n\n", b"data: b\n\n"]

    @given(st.lists(st.sampled_from(LINE_ENDS), min_size=STREAM.count(b"\n"), max_size=STREAM.count(b"\n")), st.data())
    def test_mixed_line_ends_in_any_pieces(self, ends: list[bytes], data: st.DataObject) -> None:
        """A line feed right after a carriage return is the same line's end, so such neighbours are kept apart."""
        for index in range(1, len(ends)):
            if ends[index - 1] == b"\r" and ends[index] == b"\n":
                ends[index] = b"\r"
        lines = STREAM.split(b"\n")
        stream = b"".join(line + end for line, end in zip(lines, [*ends, b""], strict=True))
        borders = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
        splitter = FrameSplitter()
        assert [frame for part in cut(stream, *borders) for frame in splitter.feed(part)] == FRAMES

    def test_an_unended_frame_waits(self) -> None:
        """Its bytes are there to be looked at."""
        splitter = FrameSplitter()
        assert splitter.feed(b"data: a\n\ndata: b\n") == [b"data: a\n\n"]
        assert splitter._rest == b"data: b\n"
        assert splitter.feed(b"") == []
        assert splitter.feed(b"\n") == [b"data: b\n\n"]

    def test_an_endless_frame_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An engine cannot fill our memory."""
        monkeypatch.setattr(sse, "MAX_FRAME_BYTES", 1000)
        splitter = FrameSplitter()
        splitter.feed(b"data: " + b"x" * 994)
        with pytest.raises(SseError, match="does not end"):
            splitter.feed(b"x")


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b"data: x\n\n", b"x"), (b"data:x\n\n", b"x"), (b"data:  x\n\n", b" x"), (b"data: x\ndata: y\n\n", b"x\ny"),
        (b"data: x\ndata:\n\n", b"x\n"), (b": c\n\n", b""), (b"id: 1\nevent: e\ndata: x\n\n", b"x"), (b"data: \n\n", b""),
    ],
)  # fmt: skip
def test_the_data_of_a_frame(frame: bytes, data: bytes) -> None:
    """One space after the colon belongs to the field's name; several lines are joined."""
    assert frame_data(frame) == data


def test_an_event_is_one_frame() -> None:
    """Compact JSON behind the field's name."""
    assert event({"a": "ż"}) == 'data: {"a":"ż"}\n\n'.encode()
    assert msgspec.json.decode(frame_data(event([1]))) == [1]
