"""What a faithful upstream makes up: values that fit a JSON schema, vectors, tokens, and what an image costs.

Everything follows from its arguments alone, so that a test knows the answer beforehand. Nothing here opens a connection.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import bpe_openai

#: What OpenAI charges for an image, by model: tokens once, and for each tile of 512 pixels
#: (https://platform.openai.com/docs/guides/images-vision, "Calculating costs").
IMAGE_TOKENS: Mapping[str, tuple[int, int]] = {"gpt-4o-mini": (2833, 5667), "gpt-4o": (85, 170), "gpt-4.1": (85, 170)}
#: Models that see patches of 32 pixels instead, at most 1536 of them, and what each counts in tokens.
PATCH_TOKENS: Mapping[str, float] = {"gpt-4.1-mini": 1.62, "gpt-4.1-nano": 2.46, "o4-mini": 1.72}
MOST_PATCHES = 1536
#: Width and height that are assumed of an image that is not read here: not PNG, or by URL.
ASSUMED_PIXELS = (1024, 1024)


def fitting(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:
    """Return a value that fits `schema`: of the keywords that OpenAI's structured outputs take."""
    root = schema if root is None else root
    if "$ref" in schema:
        found: Any = root
        for name in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
            found = found[name] if name else found
        return fitting(found, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return fitting(schema[name][0], root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: fitting(part, root) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [fitting(schema.get("items", {}), root)] * max(1, schema.get("minItems", 1))
    numbers = {"integer": schema.get("minimum", 7), "number": schema.get("minimum", 7.5), "boolean": True, "null": None}
    return numbers.get(kind, "Alaska")


@cache
def _encoding() -> Any:
    return bpe_openai.get_encoding("o200k_base")


def tokens_of(text: str) -> list[str]:
    """Return `text` as a model sends it: token by token, "" for those that are no whole characters until the last."""
    pieces: list[str] = []
    pending: list[int] = []
    for token in _encoding().encode_ordinary(text):
        pending.append(token)
        try:
            pieces.append(_encoding().decode(pending, errors="strict"))
            pending = []
        except ValueError:
            pieces.append("")
    return pieces


def vector(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 that depends on `text` alone and is exact in 32 bits."""
    numbers = []
    for number in range(dimensions):
        digest = hashlib.sha256(f"{number % 64}:{text}".encode()).digest()
        numbers.append(int.from_bytes(digest[:2], "big") / 65536 - 0.5 + number / 1e6)
    length = math.sqrt(sum(number * number for number in numbers))
    packed = struct.pack(f"<{dimensions}f", *(number / length for number in numbers))
    return list(struct.unpack(f"<{dimensions}f", packed))


def as_base64(numbers: list[float]) -> str:
    """Return a vector as `encoding_format: base64` gives it: 32-bit floats, little-endian."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def png(width: int, height: int) -> str:
    """Return a grey picture as a `data:` URL."""

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    raw = b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", zlib.compress(bytes((width + 1) * height))) + part(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(raw).decode()


def image_parts(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the `image_url` objects of all messages."""
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else []:
            if part.get("type") == "image_url":
                yield part["image_url"]


def describe_image(image: Mapping[str, Any]) -> str:
    """Return in words what came: kind and size of a `data:` URL, or the address."""
    url, detail = str(image["url"]), image.get("detail", "auto")
    if not url.startswith("data:"):
        return f"{url} ({detail})"
    head, _, data = url.partition(",")
    return f"{head.removeprefix('data:').split(';')[0]} of {len(base64.b64decode(data))} bytes ({detail})"


def image_tokens(model: str, image: Mapping[str, Any]) -> int:
    """Return what an image costs in prompt tokens, by OpenAI's tiles or patches."""
    if model in PATCH_TOKENS:
        return math.ceil(round(_patches(*_pixels(str(image["url"]))) * PATCH_TOKENS[model], 6))
    once, tile = next(tokens for name, tokens in IMAGE_TOKENS.items() if model.startswith(name))
    if image.get("detail") == "low":
        return once
    width, height = _pixels(str(image["url"]))
    scale = min(1.0, 2048 / max(width, height), 768 / min(width, height))
    return once + tile * math.ceil(round(width * scale / 512, 9)) * math.ceil(round(height * scale / 512, 9))


def _patches(width: int, height: int) -> int:
    """Return how many patches an image has, made smaller where those are too many."""
    patches = math.ceil(width / 32) * math.ceil(height / 32)
    if patches <= MOST_PATCHES:
        return patches
    scale = math.sqrt(32 * 32 * MOST_PATCHES / (width * height))
    across, down = width * scale / 32, height * scale / 32
    scale = min(math.floor(across) / across, math.floor(down) / down)
    return math.ceil(round(across * scale, 6)) * math.ceil(round(down * scale, 6))


def _pixels(url: str) -> tuple[int, int]:
    if url.startswith("data:image/png;base64,"):
        raw = base64.b64decode(url.partition(",")[2])
        width, height = struct.unpack(">II", raw[16:24])
        return int(width), int(height)
    return ASSUMED_PIXELS
