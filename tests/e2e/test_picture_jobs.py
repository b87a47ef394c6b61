"""Pictures by the product as it runs: each is drawn and charged once, whatever dies and however it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from minitoolai.core.jobs import JobState
from minitoolai.core.picture_header import PictureHeader, read_header
from minitoolai.runtime.postgres import running_url
from tests.support import tiny_diffusion
from tests.support.books import Books
from tests.support.clients import Caller, until
from tests.support.databases import open_folder
from tests.support.servers import ProductServer, children_of, command_of, product_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

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

    def start(self, *, drain_s: float = 30, workers: int = 1) -> None:
        """Start it; it draws once its engine is there."""
        self.server.configure(SETTINGS.format(drain_s=drain_s, workers=workers, model=self.model))
        self.server.start()
        url = running_url(self.server.data_dir)
        assert url is not None
        self.books = Books(url)
        if workers:
            self.server.wait_engine("tiny")
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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return tiny_diffusion.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def running(model: Path) -> Iterator[Product]:
    """The product with its own embedded database, started once."""
    with open_folder() as folder, product_server(folder, None) as server:
        product = Product(server, model)
        product.start()
        yield product


@pytest_asyncio.fixture(loop_scope="module")
async def caller(running: Product) -> AsyncIterator[Caller]:
    """A caller of the product that runs."""
    yield await running.caller()


async def test_a_picture_is_drawn(running: Product, caller: Caller) -> None:
    """Its caller is told where it is, what it cost and its seed; `/readyz` shows the engine and the worker."""
    job = await running.ask(caller)
    told = await job.look(wait_s=60)
    assert (told["status"], told["cost"], told["seed"]) == ("success", "0.0015", 7)
    fetched = await caller.send(told["image_url"].removeprefix(running.server.base), method="GET")
    assert (fetched.status, fetched.headers["content-type"]) == (200, "image/png")
    await running.drawn(job, attempt=1)
    ready = (await caller.send("/readyz", method="GET")).json
    assert ready["engines"]["tiny"] == {"state": "ready", "provider": "CPUExecutionProvider", "parallel": 1}
    assert ready["workers"] == {"worker-0": {"state": "ready"}}


async def test_a_killed_engine_costs_an_attempt(running: Product, caller: Caller) -> None:
    """In the middle of a picture: the job waits until it is there again, and is drawn once."""
    os.kill(running.engine, signal.SIGSTOP)
    job = await running.ask(caller)
    await running.runs(job)
    os.kill(running.engine, signal.SIGKILL)
    await running.drawn(job, attempt=2)


async def test_a_killed_workers_job_starts_elsewhere(running: Product, caller: Caller) -> None:
    """Within 30 s: its lease lapses, and the gateway's sweep puts the job back."""
    worker, engine = running.worker, running.engine
    os.kill(engine, signal.SIGSTOP)
    job = await running.ask(caller)
    await running.runs(job)
    os.kill(worker, signal.SIGKILL)
    killed = time.monotonic()
    os.kill(engine, signal.SIGCONT)
    await running.drawn(job, attempt=2)
    assert time.monotonic() - killed < STARTS_AGAIN_S
    assert running.worker != worker


async def test_a_cancelled_job_is_stopped(running: Product, caller: Caller) -> None:
    """While it is drawn: nothing is charged, no file stays, and the worker draws the next."""
    engine = running.engine
    os.kill(engine, signal.SIGSTOP)
    job = await running.ask(caller)
    await running.runs(job)
    cancelled = await caller.send("/api/texttoimage/jobs/cancel/", {"jobid": job.id})
    assert cancelled.json["status"] == "error"
    os.kill(engine, signal.SIGCONT)
    other = await running.caller()
    await running.drawn(await running.ask(other), attempt=1)
    assert (await running.row(job))["state"] == JobState.CANCELLED
    assert (running.files(job), await running.books.balance(caller)) == ([], 1_000_000_000)


async def test_told_to_stop_it_draws_to_the_end(model: Path) -> None:
    """A job that is drawn at SIGTERM is finished by its attempt; the exit status is 0."""
    with open_folder() as folder, product_server(folder, None) as server:
        product = Product(server, model)
        product.start()
        caller = await product.caller()
        engine = product.engine
        os.kill(engine, signal.SIGSTOP)
        job = await product.ask(caller)
        try:
            await product.runs(job)
        except AssertionError:
            print("LOG", server.log.read_text()[-6000:], await product.row(job))
            raise
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        await until(lambda: b"1 jobs are drawn to their end" in server.log.read_bytes(), "the worker drains")
        os.kill(engine, signal.SIGCONT)
        assert server.process.wait(60) == server.stop() == 0
        product.start()
        await product.drawn(job, attempt=1, timeout_s=1)


async def test_what_is_not_drawn_when_the_drain_is_over_waits_for_the_next_start(model: Path) -> None:
    """It was put back: the next start draws it at once, and does not wait for a lease."""
    with open_folder() as folder, product_server(folder, None) as server:
        product = Product(server, model)
        product.start(drain_s=0)
        caller = await product.caller()
        engine = product.engine
        os.kill(engine, signal.SIGSTOP)
        job = await product.ask(caller)
        try:
            await product.runs(job)
        except AssertionError:
            print("LOG", server.log.read_text()[-6000:], await product.row(job))
            raise
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == server.stop() == 0
        assert not command_of(engine)
        product.start(drain_s=0)
        await product.drawn(job, attempt=2, timeout_s=10)


async def test_a_worker_draws_beside_a_server(model: Path) -> None:
    """`minitoolai worker` over the running server's database and files; it stops with exit status 0."""
    with open_folder() as folder, product_server(folder, None) as server:
        product = Product(server, model)
        product.start(workers=0)
        job = await product.ask(await product.caller())
        ready = (await job.caller.send("/readyz", method="GET")).json
        assert (ready["engines"], ready["workers"]) == ({"tiny": {"state": "configured"}}, {})
        command = [sys.executable, "-m", "minitoolai.cli.main", "worker", "--config", str(server.config)]
        with (folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [*command, "--data-dir", str(server.data_dir)],
                env=server.environment, cwd=folder, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        try:
            assert worker.stdout is not None
            assert b"MiniToolAI draws with tiny" in worker.stdout.readline()
            await product.drawn(job, attempt=1)
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0
            worker.stdout.close()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('[engines.up]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n', "No picture model"),
        ("", "minitoolai serve"),
        ('[database]\nurl = "postgresql://127.0.0.1:9/none"\n', "the database cannot be used"),
    ],
    ids=["nothing to draw", "no server", "no database"],
)
async def test_a_worker_that_cannot_work_says_why(tmp_path: Path, config: str, words: str) -> None:
    """One line that names the remedy, and exit status 1; nothing is made."""
    server = ProductServer(tmp_path, None)
    server.configure(config)
    done = server.command("worker", check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert words in done.stderr
    assert not (server.data_dir / "secret").exists()


async def test_a_worker_needs_the_servers_secret(model: Path, database_url: str, tmp_path: Path) -> None:
    """Without it, or with another, it is refused before it takes a job."""
    with open_folder() as folder, product_server(folder, database_url) as server:
        product = Product(server, model)
        server.configure(SETTINGS.format(drain_s=1, workers=0, model=product.model))
        server.start()
        elsewhere = ProductServer(tmp_path, None)
        elsewhere.configure(server.config.read_text())
        done = elsewhere.command("worker", "--database", database_url, check=False)
        assert (done.returncode, "the server's secret is not here" in done.stderr) == (1, True), done.stderr
        elsewhere.configure(server.config.read_text().replace("[jobs]", 'secret_env = "OTHER"\n[jobs]'))
        elsewhere.environment["OTHER"] = "x" * 64
        done = elsewhere.command("worker", "--database", database_url, "--json", check=False)
        assert (done.returncode, "is not the one that this database was set up with" in done.stderr) == (1, True)
        assert json.loads(elsewhere.command("models", "--json").stdout)
