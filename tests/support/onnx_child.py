"""The child that draws as a test runs it: a real process behind its Unix socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minitoolai.core.child_wire import Frames, order_bytes
from minitoolai.core.drawing_wire import MAX_FRAME_BYTES, Kind, Order
from minitoolai.core.pictures import PictureRequest
from tests.support.child_process import PATIENCE_S, ChildProcess

__all__ = ["PATIENCE_S", "OnnxChild", "asked", "drawing_child", "onnx_child"]

MODULE = "minitoolai.children.onnx_pictures"


def asked(**changes: Any) -> PictureRequest:
    """A request, but for `changes`."""
    fields: dict[str, Any] = {
        "prompt": "the red star", "negative_prompt": "", "scheduler": "DPM++ SDE", "steps": 2, "cfg_scale": 2.0,
        "width": 256, "height": 256, "seed": 7,
    }  # fmt: skip
    return PictureRequest(**{**fields, **changes})


class OnnxChild(ChildProcess):
    """A running child and its boot document."""

    def __init__(self, folder: Path, model: Path, **boot: Any) -> None:
        self.errors = folder / "stderr"
        self.boot = {"model_path": str(model), "socket": str(folder / "d.sock"), "threads": 1, **boot}
        super().__init__(MODULE, self.boot, folder / "d.sock", self.errors)

    def ask(self, request: PictureRequest, native_size: int | None = None) -> list[tuple[Kind, bytes]]:
        """Return all frames that an order brings."""
        return self.ask_bytes(order_bytes(Order(request, native_size)))

    def ask_bytes(self, sent: bytes) -> list[tuple[Kind, bytes]]:
        """Return all frames that bytes bring."""
        frames, found = Frames(Kind, MAX_FRAME_BYTES), []
        with self.open(sent) as connection:
            while data := connection.recv(65536):
                found += frames.receive(data)
        return found


@contextmanager
def onnx_child(folder: Path, model: Path, **boot: Any) -> Iterator[OnnxChild]:
    """A child, ended afterwards."""
    child = OnnxChild(folder, model, **boot)
    try:
        yield child
    finally:
        child.end()


@contextmanager
def drawing_child(folder: Path, model: Path, **boot: Any) -> Iterator[OnnxChild]:
    """A child that is ready, ended afterwards."""
    with onnx_child(folder, model, **boot) as child:
        ready = child.started()
        assert ready["event"] == "ready", ready
        yield child
