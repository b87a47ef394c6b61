"""One seed for all random tests of a run."""

from __future__ import annotations

import secrets


def seed_of_run(given: int | None) -> int:
    """Return the seed that was given, or a fresh one."""
    return given if given is not None else secrets.randbelow(2**32)
