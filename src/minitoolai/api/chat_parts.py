"""The parts of a chat body's messages as they go out: with the fields that are known, since a provider charges for others.

A `cache_control` makes some providers write the prompt into a cache, at more than the price of input.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Providers that cache on demand take it beside a part, a message, a tool and its function.
_CACHE_CONTROL = frozenset({"cache_control"})
_PART_FIELDS = {kind: frozenset({"type", kind}) for kind in ("text", "refusal", "image_url")}
_IMAGE_FIELDS = frozenset({"url", "detail"})


def keep_known_fields(fields: dict[str, Any]) -> set[str]:
    """Take out of a checked chat body what its parts have beside their own fields, and every `cache_control`.

    The body is changed in place; the names of what was dropped are returned.
    """
    dropped: set[str] = set()
    for message in fields["messages"]:
        dropped |= _drop(message, message.keys() & _CACHE_CONTROL)
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            dropped |= _drop(part, part.keys() - _PART_FIELDS[part["type"]])
            if part["type"] == "image_url":
                dropped |= _of_image(part["image_url"])
    for tool in fields.get("tools") or ():
        dropped |= _drop(tool, tool.keys() & _CACHE_CONTROL)
        if tool.get("function"):
            dropped |= _drop(tool["function"], tool["function"].keys() & _CACHE_CONTROL)
    return dropped


def _of_image(image: dict[str, Any]) -> set[str]:
    """Do the same for a picture; a `detail` of null, which not every upstream takes, goes without a word."""
    if image.get("detail", "") is None:
        del image["detail"]
    return _drop(image, image.keys() - _IMAGE_FIELDS)


def _drop(fields: dict[str, Any], names: Iterable[str]) -> set[str]:
    dropped = set(names)
    for name in dropped:
        del fields[name]
    return dropped
