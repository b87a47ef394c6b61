"""An S3 server for tests: moto's, a process of its own on loopback."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from obstore.store import S3Store

_START_TIMEOUT_S = 60.0
#: The server takes any.
_KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_REGION": "us-east-1"}


class S3Server:
    """A running server. It keeps objects in memory."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = process
        self._numbers = itertools.count(1)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead a program to it."""
        return {**_KEYS, "AWS_ENDPOINT_URL": self.url}

    def bucket(self) -> str:
        """Return the name of a new bucket."""
        name = f"bucket-{next(self._numbers)}"
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/{name}", method="PUT"), timeout=20).close()
        return name

    def client(self, bucket: str) -> S3Store:
        """Return a client that is not the program's."""
        return S3Store(
            bucket, endpoint=self.url, region=_KEYS["AWS_REGION"], access_key_id=_KEYS["AWS_ACCESS_KEY_ID"],
            secret_access_key=_KEYS["AWS_SECRET_ACCESS_KEY"], client_options={"allow_http": True},
        )  # fmt: skip

    def stop(self) -> None:
        """Stop it; again is no failure."""
        self._process.terminate()
        self._process.wait(20)


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A server with its log in `folder`, stopped at the end."""
    port = _free_port()
    log = folder / "s3.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"},
            cwd=folder, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    server = S3Server(port, process)
    try:
        _wait(server, process, log)
        yield server
    finally:
        server.stop()


def _wait(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(f"{server.url}/moto-api/", timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > give_up:
                raise AssertionError(f"the S3 server did not start:\n{log.read_text()[-4000:]}") from None
            time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
