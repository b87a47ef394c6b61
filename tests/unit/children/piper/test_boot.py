"""The boot document of the child that speaks with Piper's voices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minitoolai.children.piper.boot import Boot
from minitoolai.children.report import BootError

GIVEN = {"model_path": "/v", "socket": "/s", "language": "pl"}


def test_defaults() -> None:
    """Four voices are kept in memory where nothing is said."""
    boot = Boot.parse(json.dumps(GIVEN).encode())
    assert (boot.model_path, boot.loaded, boot.threads, boot.language) == ("/v", 4, None, "pl")


@pytest.mark.parametrize(
    "changes", [{"loaded": 0}, {"loaded": None}, {"loaded": "4"}, {"model_path": ""}, {"threads": 0}, {"x": 1}]
)
def test_refused(changes: dict[str, Any]) -> None:
    """Numbers that are none, and fields that nobody knows, are refused by name."""
    with pytest.raises(BootError, match=next(iter(changes))) as error:
        Boot.parse(json.dumps({**GIVEN, **changes}).encode())
    assert error.value.code == "boot_invalid"
