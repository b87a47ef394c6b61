"""The boot document of the child that draws."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minitoolai.children.onnx_pictures.boot import CPU_PROVIDER, MAX_PARALLEL, Boot
from minitoolai.children.report import BootError

GOOD: dict[str, Any] = {"model_path": "/model", "socket": "/tmp/d.sock"}


def test_boot_document_with_defaults() -> None:
    """Null and absent threads are the same; the processor draws unless something else is named."""
    assert Boot.parse(json.dumps({**GOOD, "threads": None}).encode()) == Boot.parse(json.dumps(GOOD).encode())
    assert Boot.parse(json.dumps(GOOD).encode()).providers == (CPU_PROVIDER,)


def test_boot_document_with_everything() -> None:
    """Every field is taken as it is given."""
    document = {**GOOD, "threads": 3, "providers": ["CUDAExecutionProvider", CPU_PROVIDER], "parallel": MAX_PARALLEL}
    boot = Boot.parse(json.dumps(document).encode() + b"\n")
    assert boot == Boot("/tmp/d.sock", "/model", 3, ("CUDAExecutionProvider", CPU_PROVIDER), MAX_PARALLEL)


@pytest.mark.parametrize(
    "change",
    [
        {"model_path": None}, {"model_path": ""}, {"socket": 5}, {"socket": "/" + "x" * 110}, {"threads": 0},
        {"threads": True}, {"threads": "2"}, {"parallel": 0}, {"parallel": MAX_PARALLEL + 1}, {"parallel": 1.0},
        {"providers": []}, {"providers": "CPU"}, {"providers": [""]}, {"providers": [5]}, {"typo": 1},
    ],
)  # fmt: skip
def test_bad_boot_documents_are_refused(change: dict[str, object]) -> None:
    """Each with the field's name in the message."""
    with pytest.raises(BootError, match=next(iter(change))) as caught:
        Boot.parse(json.dumps({**GOOD, **change}).encode())
    assert caught.value.code == "boot_invalid"


@pytest.mark.parametrize("line", [b"", b"nope\n", b"[1]\n", b"{}\n"])
def test_what_is_no_boot_document_is_refused(line: bytes) -> None:
    """Nothing, no JSON, no object, nothing in it."""
    with pytest.raises(BootError):
        Boot.parse(line)
