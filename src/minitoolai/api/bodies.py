"""JSON bodies of requests: decoded, checked against a schema, refused with the field's path and a remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from minitoolai.core.errors import InvalidJson, InvalidValue

#: Bytes of a body at most whose call costs work and no money. Counting takes up to 70 µs a kilobyte: 0.3 s for the longest,
#: which is more text than any model reads.
MAX_FREE_BODY_BYTES = 4 * 1024 * 1024
#: Levels of lists and objects in a body at most. Decoding alone could go deeper than what comes after it.
MAX_DEPTH = 200
#: Characters of msgspec's sentence at most, which may repeat a value of the caller's.
MAX_WHY = 200

_PATH = re.compile(r" - at `\$\.?(.*)`$")
#: Says nothing to callers who write no regular expressions.
_PATTERN = re.compile(r" matching regex .*")
#: An escaped half of a surrogate pair without the other (RFC 8259 §8.2), as programs send that cut texts in the middle.
_HALF_CHARACTER = re.compile(rb"\\u[dD](?:[89aAbB]..(?!\\u[dD][c-fC-F])|[c-fC-F](?<!\\u[dD][89aAbB]..\\u[dD].))", re.DOTALL)
_decode = msgspec.json.Decoder().decode

Schema = TypeVar("Schema")


def decode_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`. Raises `InvalidJson`."""
    try:
        fields = _decode(raw)
    except RecursionError:
        raise InvalidJson(why="it is nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = "it is empty" if not raw.strip() else "it is not UTF-8"
        if isinstance(error, msgspec.DecodeError) and raw.strip():
            why = _PATH.sub("", str(error).removeprefix("JSON is malformed: "))
            if _HALF_CHARACTER.search(raw):
                why = "it may have half of a character in it (a lone \\ud800 to \\udfff)"
        raise InvalidJson(why=why) from None
    if not isinstance(fields, dict):
        raise InvalidJson(why="it is not an object")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _depth(fields) > MAX_DEPTH:
        raise InvalidJson(why=f"it is nested deeper than {MAX_DEPTH} levels")
    return fields


def checked(
    fields: dict[str, Any],
    schema: type[Schema],
    *,
    integers: Iterable[str] = (),
    instead: Mapping[str, str] | None = None,
    strict: bool = True,
) -> Schema:
    """Return `fields` as `schema`; integral floats in `integers` are made integers, in `fields` too.

    Raises `InvalidValue`; `instead`: what to send instead, by patterns of the path at fault. `strict`: whether a number is
    a number; in forms each is a text.
    """
    for name in integers:
        value = fields.get(name)
        if isinstance(value, float) and value.is_integer():
            fields[name] = int(value)
    try:
        return msgspec.convert(fields, schema, strict=strict)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), instead or {}) from None


def origin_of(path: str, origins: Mapping[str, str]) -> tuple[str, str]:
    """Return what the nearest place at or above `path` was made from, and what is left of `path` below that place.

    ("", `path`) where `origins` knows none. For bodies that are made of a caller's: errors name what the caller sent.
    """
    end = len(path)
    while end > 0:
        origin = origins.get(path[:end])
        if origin is not None:
            return origin, path[end:]
        end = max(path.rfind(".", 0, end), path.rfind("[", 0, end))
    return "", path


def _depth(value: object) -> int:
    """Return how deep lists and objects are nested, without going deep oneself."""
    depth = 0
    level = [value]
    while level := [
        inner
        for outer in level
        if isinstance(outer, dict | list)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
    return depth


def _invalid(problem: str, instead: Mapping[str, str]) -> InvalidValue:
    """Turn msgspec's sentence and path into ours."""
    path = _PATH.search(problem)
    param = path[1] if path else ""
    why = _PATTERN.sub(" of another form", _PATH.sub("", problem))
    missing = re.fullmatch(r"Object missing required field `(\w+)`", why)
    if missing:
        param = f"{param}.{missing[1]}" if param else missing[1]
        why = "It is required and missing"
    if len(why) > MAX_WHY:
        why = f"{why[:MAX_WHY]}…"
    why = why.replace("`", "'")
    remedy = next((f" {text}" for pattern, text in instead.items() if re.fullmatch(pattern, param)), "")
    return InvalidValue(param=param or "body", why=f"{why[0].lower()}{why[1:]}.{remedy}")
