"""The llama child as a test runs it: a real process, asked over its Unix socket by the standard library alone."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.child_process import ChildProcess

MODULE = "minitoolai.children.llama"
CHAT = "/v1/chat/completions"
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "seed": 3, "max_tokens": 8}
#: Noise would run on to the end of the context: seconds with the slow model.
ENDLESS = {**HI, "max_tokens": 8000, "ignore_eos": True}
#: A start takes 0.15 s on an idle machine; this one may be busy.
START_S = 30.0
#: An end takes a few milliseconds.
END_S = 5.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, by the standard library alone."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(START_S)
        self.sock.connect(str(self.path))


class LlamaChild(ChildProcess):
    """A running child and its boot document."""

    def __init__(self, folder: Path, model: Path, **boot: Any) -> None:
        self.boot = {"model_path": str(model), "socket": str(folder / "m.sock"), "alias": "tiny", **boot}
        super().__init__(MODULE, self.boot, folder / "m.sock", folder / "stderr")
        self.events: list[dict[str, Any]] = []

    def started(self) -> dict[str, Any]:
        """Its `ready` or `failed` event; everything on standard output must be an event."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] != "progress":
                return self.events[-1]
        raise AssertionError(f"it ended with {self.process.wait(END_S)} and told nothing")

    def call(self, body: dict[str, Any], path: str = CHAT) -> tuple[int, bytes]:
        """A POST: status and body."""
        connection = UnixConnection(self.socket)
        try:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        """A reply of status 200, parsed."""
        status, content = self.call(body)
        assert status == 200, content
        reply: dict[str, Any] = json.loads(content)
        return reply

    def send(self, body: dict[str, Any]) -> socket.socket:
        """Send a request and read nothing."""
        content = json.dumps(body).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        return self.open(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short path: a Unix socket's has 108 bytes."""
    path = Path(tempfile.mkdtemp(prefix="llama-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def running(folder: Path, model: Path, **boot: Any) -> Iterator[LlamaChild]:
    """A child that is ready, ended afterwards."""
    child = LlamaChild(folder, model, **boot)
    try:
        ready = child.started()
        assert ready["event"] == "ready", ready
        yield child
    finally:
        child.end()
