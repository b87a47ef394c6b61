"""The header of a GGUF file: what it tells, and what is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitoolai.children import gguf_header
from minitoolai.children.report import BootError
from tests.support import tiny_gguf


def test_header_tells_context_cache_and_length(tmp_path: Path) -> None:
    """The file's own facts, and exactly its length as the least one."""
    path = tiny_gguf.make(tmp_path / "tiny.gguf", context_tokens=4096)
    header = gguf_header.read(path)
    assert header.architecture == "llama"
    assert header.context_tokens == 4096
    assert header.kv_bytes_per_token == 2 * 2 * (16 + 16) * 2  # layers, heads, keys and values, bytes
    assert path.stat().st_size - 32 < header.needed_bytes <= path.stat().st_size


def test_missing_file_is_named(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(BootError, match=r"none\.gguf") as caught:
        gguf_header.read(tmp_path / "none.gguf")
    assert caught.value.code == "model_missing"


@pytest.mark.parametrize("content", [b"", b"GG", b"<html>not found</html>", b"GGUF\x01\0\0\0" + bytes(40), b"GGUF"])
def test_other_content_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, another kind of file, an ancient version, nothing behind the magic."""
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(BootError) as caught:
        gguf_header.read(path)
    assert caught.value.code == "model_invalid"


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    """A download that ended early, wherever: inside the header and inside the weights."""
    whole = tiny_gguf.make(tmp_path / "tiny.gguf").read_bytes()
    needed = gguf_header.read(tmp_path / "tiny.gguf").needed_bytes
    path = tmp_path / "cut.gguf"
    for length in [*range(4, 6000, 97), *range(6000, needed, 20011), needed - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(BootError) as caught:
            gguf_header.read(path)
        assert caught.value.code == "model_invalid"
