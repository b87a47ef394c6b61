"""Temporary."""

from __future__ import annotations


def most_image_tokens(rule: str, detail: str) -> int:
    return int(rule.removeprefix("fixed:")) if rule.startswith("fixed:") else 1445
