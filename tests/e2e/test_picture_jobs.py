"""Pictures by the product as it runs: each is drawn and charged once, whatever dies and however it is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from minitoolai.core.jobs import JobState
from tests.support import tiny_diffusion
from tests.support.clients import Caller, until
from tests.support.databases import PostgresForTests, open_folder
from tests.support.drawing_product import STARTS_AGAIN_S, Product
from tests.support.servers import command_of, product_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return tiny_diffusion.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def running(model: Path, embedded_server: PostgresForTests) -> Iterator[Product]:
    """The product, started once."""
    with embedded_server.database() as url, open_folder() as folder, product_server(folder, url) as server:
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


async def test_told_to_stop_it_draws_to_the_end(model: Path, database_url: str) -> None:
    """A job that is drawn at SIGTERM is finished by its attempt; the exit status is 0."""
    with open_folder() as folder, product_server(folder, database_url) as server:
        product = Product(server, model)
        product.start()
        caller = await product.caller()
        engine = product.engine
        os.kill(engine, signal.SIGSTOP)
        job = await product.ask(caller)
        await product.runs(job)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        await until(lambda: b"1 jobs go on to their end" in server.log.read_bytes(), "the worker drains")
        os.kill(engine, signal.SIGCONT)
        assert server.process.wait(60) == server.stop() == 0
        product.start()
        await product.drawn(job, attempt=1, timeout_s=1)


async def test_what_is_not_drawn_when_the_drain_is_over_waits_for_the_next_start(model: Path, database_url: str) -> None:
    """It was put back: the next start draws it at once, and does not wait for a lease."""
    with open_folder() as folder, product_server(folder, database_url) as server:
        product = Product(server, model)
        product.start(drain_s=0)
        caller = await product.caller()
        engine = product.engine
        os.kill(engine, signal.SIGSTOP)
        job = await product.ask(caller)
        await product.runs(job)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == server.stop() == 0
        assert not command_of(engine)
        product.start(drain_s=0)
        await product.drawn(job, attempt=2, timeout_s=10)


async def test_an_engine_that_cannot_start_wastes_no_attempt(tmp_path: Path, database_url: str) -> None:
    """The server serves, `/readyz` says why nothing is drawn, and jobs wait."""
    with open_folder() as folder, product_server(folder, database_url) as server:
        product = Product(server, tmp_path)
        product.start(engine="failed")
        job = await product.ask(await product.caller())
        engine = server.wait_engine("tiny", "failed")
        assert "is missing" in engine["message"]
        told = await job.look(wait_s=3)
        assert (told["status"], told["message"], told["position"]) == ("processing", "queued", 1)
        assert (await product.row(job))["attempt"] == 0
