"""The child that draws as a test runs it: a real process behind its Unix socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minitoolai.core.drawing_wire import Frames, Kind, Order, order_bytes
from minitoolai.core.pictures import PictureRequest

#: A start takes 0.5 s on an idle machine, a tiny picture milliseconds; this one may be busy.
PATIENCE_S = 60.0
COMMAND = [sys.executable, "-m", "minitoolai.children.onnx_pictures"]


def asked(**changes: Any) -> PictureRequest:
    """A request, but for `changes`."""
    fields: dict[str, Any] = {
        "prompt": "the red star", "negative_prompt": "", "scheduler": "DPM++ SDE", "steps": 2, "cfg_scale": 2.0,
        "width": 256, "height": 256, "seed": 7,
    }  # fmt: skip
    return PictureRequest(**{**fields, **changes})


class OnnxChild:
    """A running child and its boot document."""

    def __init__(self, folder: Path, model: Path, **boot: Any) -> None:
        self.socket = folder / "d.sock"
        self.errors = folder / "stderr"
        self.boot = {"model_path": str(model), "socket": str(self.socket), "threads": 1, **boot}
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(self.boot).encode() + b"\n")
        self.process.stdin.flush()

    def started(self) -> dict[str, Any]:
        """Its `ready` or `failed` event."""
        assert self.process.stdout is not None
        event: dict[str, Any] = json.loads(self.process.stdout.readline())
        return event

    def open(self, sent: bytes) -> socket.socket:
        """Send bytes and read nothing."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        connection.connect(str(self.socket))
        connection.sendall(sent)
        return connection

    def ask(self, request: PictureRequest, native_size: int | None = None) -> list[tuple[Kind, bytes]]:
        """Return all frames that an order brings."""
        return self.ask_bytes(order_bytes(Order(request, native_size)))

    def ask_bytes(self, sent: bytes) -> list[tuple[Kind, bytes]]:
        """Return all frames that bytes bring."""
        frames, found = Frames(), []
        with self.open(sent) as connection:
            while data := connection.recv(65536):
                found += frames.receive(data)
        return found

    def end(self) -> None:
        """Kill it by its own pid."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


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
