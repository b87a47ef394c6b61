"""The product as it runs with a tiny picture model: what draws in it, jobs that are asked for, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minitoolai.core.jobs import JobState
from minitoolai.core.picture_header import PictureHeader, read_header
from minitoolai.runtime.postgres import running_url
from tests.support.books import Books
from tests.support.clients import Caller, until
from tests.support.servers import ProductServer, children_of, command_of

PRICE = 1_500_000
#: The contract: a killed worker's job starts elsewhere within 30 s; and a busy machine.
STARTS_AGAIN_S = 30.0 + 15.0
ASKED = {"model": "realvision", "prompt": "the red star", "width": 257, "height": 301, "steps": 2, "seed": 7}
SETTINGS = """
[server]
drain_timeout_s = {drain_s}
[jobs]
workers = {workers}
[engines.tiny]
kind = "onnx"
model_path = "{model}"
threads = 1
[models.realvision]
engine = "tiny"
"""


@dataclass
class Job:
    """A job that was asked for."""

    caller: Caller
    id: int
    signature: str

    async def look(self, wait_s: float = 0) -> dict[str, Any]:
        """Return how it stands, for its caller."""
        asked = {"jobid": self.id, "signature": self.signature, "wait": wait_s}
        reply = await self.caller.send("/api/texttoimage/jobs/", asked)
        assert reply.status == 200, reply.body
        found: dict[str, Any] = reply.json
        return found


class Product:
    """The product, and what draws in it."""

    def __init__(self, server: ProductServer, model: Path) -> None:
        self.server = server
        self.model = model
        self.books = Books("")

    def start(self, *, drain_s: float = 30, workers: int = 1, engine: str = "ready") -> None:
        """Start it, and wait until its engine is as `engine` says and its worker works, where it has one."""
        self.server.configure(SETTINGS.format(drain_s=drain_s, workers=workers, model=self.model))
        self.server.start()
        url = self.server.environment.get("MINITOOLAI_DATABASE__URL") or running_url(self.server.data_dir)
        assert url is not None
        self.books = Books(url)
        if workers:
            self.server.wait_engine("tiny", engine)
            self.server.wait_worker("worker-0")

    def pid(self, what: str) -> int:
        """Return the process id of a child by a part of its command."""
        assert self.server.process is not None
        (pid,) = [pid for pid in children_of(self.server.process.pid) if what in command_of(pid)]
        return pid

    @property
    def worker(self) -> int:
        """The worker's process id."""
        return self.pid("minitoolai.runtime.worker")

    @property
    def engine(self) -> int:
        """The process id of the child that draws."""
        return self.pid("onnx_pictures")

    async def caller(self) -> Caller:
        """Return a caller with an account of its own."""
        return await self.books.caller(self.server.base, "1")

    async def ask(self, caller: Caller) -> Job:
        """Ask for a picture."""
        reply = await caller.send("/api/texttoimage/", ASKED)
        assert reply.status == 200, reply.body
        return Job(caller, reply.json["jobid"], reply.json["signature"])

    async def row(self, job: Job) -> dict[str, Any]:
        """Return the database's row of a job."""
        (row,) = await self.books.fetch("SELECT * FROM jobs WHERE id = $1", job.id)
        return row

    async def runs(self, job: Job) -> None:
        """Wait until a job runs."""

        async def running() -> bool:
            return bool((await self.row(job))["state"] == JobState.RUNNING)

        await until(running, "the job runs")

    async def drawn(self, job: Job, *, attempt: int, timeout_s: float = STARTS_AGAIN_S) -> None:
        """Wait until a job is drawn by that attempt; its picture is there, it was charged once, and the books are right."""

        async def succeeded() -> bool:
            return bool((await self.row(job))["state"] == JobState.SUCCEEDED)

        await until(succeeded, "the job is drawn", timeout_s)
        row = await self.row(job)
        assert (row["attempt"], row["cost"]) == (attempt, PRICE)
        files = self.files(job)
        assert files == [row["file"]]
        data = (self.server.data_dir / "files" / files[0]).read_bytes()
        assert (read_header(data), len(data)) == (PictureHeader("png", 257, 301), row["file_bytes"])
        records = await self.books.records(job.caller)
        assert [(record["cost"], record["images"]) for record in records] == [(PRICE, 1)]
        assert await self.books.balance(job.caller) == 1_000_000_000 - PRICE
        assert await self.books.problems() == ()

    def files(self, job: Job) -> list[str]:
        """Return the names of all files of a job."""
        kept = self.server.data_dir / "files"
        return [file.relative_to(kept).as_posix() for file in kept.rglob(f"{job.id}-*.png")]
