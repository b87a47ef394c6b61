"""A server with one finished picture, and links to it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from minitoolai.api.files import PIECE_BYTES, add_files, file_path
from minitoolai.core.jobs import StoredFile
from minitoolai.edge.application import Application, Routes
from tests.support.asgi import ask
from tests.support.blobs import FakeBlobs, FakeFiles
from tests.support.clients import Reply

KEY = bytes(range(32))
JOB_ID = 1234567890
BLOB = "pictures/2026-11-25/1234567890-1.png"
#: Two pieces and a bit.
DATA = random.Random(1).randbytes(2 * PIECE_BYTES + 1000)
NOW_S = 1_000_000 * 3600 + 600
SIZE = len(DATA)


@dataclass
class Room:
    """A server with one finished picture."""

    blobs: FakeBlobs = field(default_factory=FakeBlobs)
    files: FakeFiles = field(default_factory=FakeFiles)
    now_s: float = NOW_S + 0.9

    def __post_init__(self) -> None:
        routes = Routes()
        add_files(routes, self.blobs, self.files, KEY, clock=lambda: self.now_s)
        self.application = Application(routes)
        self.blobs.files[BLOB] = DATA
        self.files.kept[JOB_ID] = StoredFile(BLOB, SIZE)

    async def ask(self, target: str | None = None, *, method: str = "GET", **headers: str) -> Reply:
        """Ask for the picture; headers with `_` for `-`."""
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        return await ask(self.application, target or file_path(KEY, JOB_ID, "png", NOW_S), method=method, headers=shown)
