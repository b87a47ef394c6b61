"""What a network takes, read from its file alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitoolai.children.speech.onnx_header import NotOnnx, inputs
from tests.support import tiny_kokoro, tiny_piper


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (tiny_piper.network().SerializeToString(), {"input", "input_lengths", "scales"}),
        (tiny_piper.network(3).SerializeToString(), {"input", "input_lengths", "scales", "sid"}),
        (tiny_kokoro.network("input_ids").SerializeToString(), {"input_ids", "style", "speed"}),
    ],
)
def test_inputs(tmp_path: Path, content: bytes, names: set[str]) -> None:
    """The names of a graph's inputs, whatever else the file holds."""
    (tmp_path / "a.onnx").write_bytes(content)
    assert inputs(tmp_path / "a.onnx") == names


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"), (b"\x08\x08", "no graph"), (b"<!DOCTYPE html><html></html>", "something else"),
        (b"version https://git-lfs.github.com/spec/v1", "something else"), (b"\x80" * 20, "cut off"),
        (b"\x3a\x7f\x00", "cut off"), (b"\x0d\x00", "something else"), (b"\x09\x00", "something else"), (b"\x3a", "cut off"),
    ],
)  # fmt: skip
def test_what_is_none(tmp_path: Path, content: bytes, why: str) -> None:
    """Pages of the Web, pointers to files, and nothing at all are told from networks."""
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(NotOnnx, match=why):
        inputs(tmp_path / "a.onnx")


def test_every_cut_off_file(tmp_path: Path) -> None:
    """A file that lacks its end is never taken for whole: what a broken download leaves."""
    whole = tiny_piper.network().SerializeToString()
    for length in [*range(0, 200, 7), *range(200, len(whole), len(whole) // 50)]:
        (tmp_path / "a.onnx").write_bytes(whole[:length])
        with pytest.raises(NotOnnx):
            inputs(tmp_path / "a.onnx")
