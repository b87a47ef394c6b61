"""The boot document of the child that speaks with espeak-ng."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minitoolai.children.espeak.boot import MAX_PARALLEL, Boot
from minitoolai.children.report import BootError


def test_defaults() -> None:
    """Its socket is enough: no file is a model."""
    assert Boot.parse(b'{"socket": "/s"}') == Boot("/s", "en", None)
    assert Boot.parse(json.dumps({"socket": "/s", "language": "pl", "parallel": MAX_PARALLEL}).encode()).parallel == 16


@pytest.mark.parametrize(
    "change", [{"parallel": 0}, {"parallel": 17}, {"parallel": "2"}, {"language": ""}, {"model_path": "/"}]
)
def test_refused(change: dict[str, Any]) -> None:
    """Numbers that are none, and fields that nobody knows, are refused by name."""
    with pytest.raises(BootError, match=next(iter(change))) as error:
        Boot.parse(json.dumps({"socket": "/s", **change}).encode())
    assert error.value.code == "boot_invalid"
