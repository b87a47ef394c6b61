"""Reading the header of a GGUF file: enough to refuse a bad one in words, and to size the context before the load.

llama.cpp says of every failure only "Failed to init server"; its reasons go to its log. What a person gets wrong most
often (a path, a download cut short, another kind of file) is therefore found here. Format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minitoolai.children.report import BootError

MAGIC = b"GGUF"
#: Versions with 64-bit counts; version 1 has not been written since August 2023 and llama.cpp refuses it.
VERSIONS = (2, 3)
#: Alignment of the tensor data where the file names none.
DEFAULT_ALIGNMENT = 32
#: Bytes per cached element of keys and values (f16, llama.cpp's default).
KV_ELEMENT_BYTES = 2

#: struct format of each fixed-size value type; 8 is a string, 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
#: Arrays up to this length are kept (per-layer facts), longer ones (vocabularies) are skipped over.
_KEPT_ARRAY = 1024
#: Tensor type → (elements per block, bytes per block), from ggml.h; an unlisted type counts as no bytes, so the
#: check of the length stays a lower bound.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 30: (1, 2),  # f32 f16 bf16
    2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),  # q4_0 q4_1 q5_0 q5_1 q8_0
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),  # q2_k … q6_k
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What the header says."""

    #: Everything but long arrays, by its key: `general.architecture`, `llama.context_length`, …
    facts: dict[str, Any] = field(repr=False)
    #: The file must be at least this long, in bytes.
    needed_bytes: int

    @property
    def architecture(self) -> str:
        """`llama`, `qwen3`, …; `clip` for an mmproj file."""
        return str(self.facts.get("general.architecture", ""))

    def of_architecture(self, name: str, default: int = 0) -> int:
        """An integer under the architecture's own prefix; of a per-layer list, its largest."""
        value = self.facts.get(f"{self.architecture}.{name}", default)
        if isinstance(value, list):
            value = max(value, default=default)
        return int(value)

    @property
    def context_tokens(self) -> int:
        """The context it was trained for; 0 when it does not say."""
        return self.of_architecture("context_length")

    @property
    def kv_bytes_per_token(self) -> int:
        """Upper bound of the cache that one token of context takes; 0 when the header does not tell."""
        heads = self.of_architecture("attention.head_count")
        kv_heads = self.of_architecture("attention.head_count_kv", heads)
        width = self.of_architecture("embedding_length") // heads if heads else 0
        keys = self.of_architecture("attention.key_length", width)
        values = self.of_architecture("attention.value_length", width)
        return self.of_architecture("block_count") * kv_heads * (keys + values) * KV_ELEMENT_BYTES


class _Cursor:
    """Walks over the bytes of a header; running past the end raises `struct.error` or `IndexError`."""

    def __init__(self, data: mmap.mmap) -> None:
        """Start behind the magic."""
        self.data = data
        self.position = len(MAGIC)

    def take(self, code: str) -> Any:
        """One little-endian value of a struct format."""
        value = struct.unpack_from("<" + code, self.data, self.position)[0]
        self.position += struct.calcsize("<" + code)
        return value

    def skip_string(self) -> tuple[int, int]:
        """Step over a string; where it begins and ends."""
        length = self.take("Q")
        start = self.position
        self.position += length
        if self.position > len(self.data):
            raise IndexError("string past the end of the file")
        return start, self.position

    def string(self) -> str:
        """A string."""
        start, end = self.skip_string()
        return self.data[start:end].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """A value of a metadata type; None for an array too long to keep."""
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array()
        return self.take(_SCALARS[kind])

    def _array(self) -> Any:
        """A list, or None when it is long: then its items are only stepped over."""
        kind, count = self.take("I"), self.take("Q")
        if count <= _KEPT_ARRAY:
            return [self.value(kind) for _ in range(count)]
        if kind == _STRING:
            for _ in range(count):
                self.skip_string()
        elif kind == _ARRAY:
            for _ in range(count):
                self._array()
        else:
            self.position += count * struct.calcsize(_SCALARS[kind])
        return None


def _parse(data: mmap.mmap) -> Header:
    """The header of a mapped file."""
    cursor = _Cursor(data)
    version = cursor.take("I")
    if version not in VERSIONS:
        raise ValueError(f"GGUF version {version} is not one of {VERSIONS}")
    tensors, count = cursor.take("Q"), cursor.take("Q")
    facts = {}
    for _ in range(count):
        key = cursor.string()
        facts[key] = cursor.value(cursor.take("I"))
    furthest = 0
    for _ in range(tensors):
        cursor.skip_string()
        elements = 1
        for _ in range(cursor.take("I")):
            elements *= cursor.take("Q")
        per_block, block_bytes = _BLOCKS.get(cursor.take("I"), (1, 0))
        furthest = max(furthest, cursor.take("Q") + elements // per_block * block_bytes)
    alignment = int(facts.get("general.alignment") or DEFAULT_ALIGNMENT)
    start = -(-cursor.position // alignment) * alignment
    return Header(facts, start + furthest)


def read(path: Path, what: str = "model") -> Header:
    """The header of the GGUF file at `path`, or `BootError` (`model_missing`, `model_invalid`) naming the remedy."""
    if not path.is_file():
        raise BootError("model_missing", f"No {what} file at {path}. Put the GGUF file there, or correct its path.")
    size = path.stat().st_size
    again = f"Download it again and compare its length or checksum with the source ({path})."
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
            if magic != MAGIC and size > 0:
                raise BootError(
                    "model_invalid",
                    f"The {what} file {path} is not a GGUF file (it begins with {magic!r}). Convert the model with "
                    "llama.cpp's convert_hf_to_gguf.py, or get a file that ends in .gguf.",
                )
            if size < len(MAGIC):
                raise BootError("model_invalid", f"The {what} file is empty or cut short ({size} bytes). {again}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _parse(data)
    except PermissionError as error:
        raise BootError("model_missing", f"The {what} file {path} may not be read ({error.strerror}). "
                        "Let the user that runs the server read it.") from error  # fmt: skip
    except (struct.error, IndexError) as error:
        raise BootError("model_invalid", f"The {what} file ends inside its header ({size} bytes). {again}") from error
    except (ValueError, KeyError, OverflowError) as error:
        raise BootError("model_invalid", f"The {what} file's header is damaged ({error}). {again}") from error
    if size < header.needed_bytes:
        raise BootError(
            "model_invalid",
            f"The {what} file is cut short: {size} bytes of {header.needed_bytes}. {again}",
        )
    return header
