"""The promise of pictures: each is made once and charged once, whatever dies; a disk that is full costs nobody anything."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from minitoolai.core.jobs import JobState
from minitoolai.core.picture_header import PictureHeader, read_header
from minitoolai.services.job_run import STORE_FAILED
from tests.support import tiny_diffusion
from tests.support.databases import open_folder
from tests.support.drawing_product import PRICE, Product
from tests.support.picture_shop import DATABASE, ENGINE, GATEWAY, ORDERS, WORKER, Shop
from tests.support.servers import product_server

CREDIT = 1_000_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that takes its time: most deaths come in the middle of a picture."""
    return tiny_diffusion.make(tmp_path_factory.mktemp("tiny"), width=64)


async def all_is_right(shop: Shop) -> int:
    """Each job has one whole picture that is its own, and one charge; nothing else has. Return how many were drawn again."""
    books, server, jobs = shop.product.books, shop.product.server, {job.id: job for job in shop.sold}
    rows = {row["id"]: row for row in await books.fetch("SELECT * FROM jobs")}
    assert rows.keys() == jobs.keys(), "there are the jobs that customers were told of, and no others"
    assert {row["state"] for row in rows.values()} == {JobState.SUCCEEDED}, [row["message"] for row in rows.values()]
    kept = server.data_dir / "files"
    pictures: defaultdict[int, set[str]] = defaultdict(set)
    for job in shop.sold:
        told = await job.look()
        assert (told["status"], told["cost"]) == ("success", "0.0015")
        fetched = await job.caller.get(told["image_url"].removeprefix(server.base))
        assert (fetched.status, fetched.headers["content-type"]) == (200, "image/png")
        assert fetched.body == (kept / rows[job.id]["file"]).read_bytes()
        order = ORDERS[job.order]
        assert read_header(fetched.body) == PictureHeader("png", order["width"], order["height"])
        with Image.open(io.BytesIO(fetched.body)) as image:
            image.load()
        pictures[job.order].add(sha256(fetched.body).hexdigest())
    assert [len(found) for found in pictures.values()] == [1] * len(pictures), "one order, one picture"
    assert len(set().union(*pictures.values())) == len(pictures)
    left_over = {file.relative_to(kept).as_posix() for file in kept.rglob("*.png")} - {row["file"] for row in rows.values()}
    assert {int(Path(name).name.split("-")[0]) for name in left_over} <= jobs.keys()
    for caller in {job.caller for job in shop.sold}:
        mine = sum(job.caller is caller for job in shop.sold)
        records = await books.records(caller)
        assert [(record["cost"], record["images"]) for record in records] == [(PRICE, 1)] * mine
        assert await books.balance(caller) == CREDIT - mine * PRICE
    charges = await books.fetch("SELECT id, amount FROM transfers WHERE kind = 2")
    assert {(charge["id"], charge["amount"]) for charge in charges} == {(row["call_id"], PRICE) for row in rows.values()}
    assert (len(charges), await books.held()) == (len(jobs), 0)
    server.command("ledger", "verify")
    again = [row["attempt"] for row in rows.values() if row["attempt"] > 1]
    print(f"{len(jobs)} pictures, attempts of those drawn again: {again}, {len(left_over)} files left over")
    return len(again)


async def once(model: Path, seed: int, *, workers: int, customers: int, jobs_each: int, deaths: dict[str, int]) -> None:
    """Let customers ask for pictures, the last one by keys and all the time, and let processes die until all are drawn."""
    with open_folder() as folder, product_server(folder, None) as server:
        product = Product(server, model)
        product.start(workers=workers)
        shop = Shop(product, random.Random(seed))
        *plain, keyed = [await product.caller() for _ in range(customers)]
        began = time.monotonic()
        await asyncio.gather(*(shop.ask(caller) for caller in plain for _ in range(jobs_each)))

        async def insist() -> None:
            for number in range(jobs_each):
                await shop.insist(keyed, f"picture {number}")

        async with asyncio.TaskGroup() as group:
            group.create_task(insist())
            group.create_task(shop.chaos(deaths, customers * jobs_each))
        print(f"all jobs ended after {time.monotonic() - began:.0f} s")
        assert await all_is_right(shop) > 0, "no death hit a picture"


async def test_each_picture_is_made_once_and_charged_once(model: Path, seed: int) -> None:
    """24 jobs; workers, a child that draws and the database die by SIGKILL."""
    deaths = {WORKER: 3, ENGINE: 1, DATABASE: 1}
    await once(model, seed, workers=2, customers=3, jobs_each=8, deaths=deaths)


@pytest.mark.long
async def test_200_pictures_are_made_once_and_charged_once(model: Path, seed: int) -> None:
    """Workers die 20 times, children that draw 5 times, the database twice, the gateway once."""
    deaths = {WORKER: 20, ENGINE: 5, DATABASE: 2, GATEWAY: 1}
    await once(model, seed, workers=4, customers=5, jobs_each=40, deaths=deaths)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 256 KB."""
    with open_folder() as folder:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            pytest.skip(
                f"A FULL DISK IS NOT TRIED: no small disk can be mounted here, it takes root ({made.stderr.strip()})"
            )
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Let a file take all that is free; return it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


async def test_a_full_disk_costs_nobody_anything(model: Path, small_disk: Path) -> None:
    """Jobs fail after their attempts, with nothing charged; the rest goes on, and so do pictures once there is room."""
    with open_folder() as folder, product_server(folder, None) as server:
        kept = small_disk / "files"
        server.environment["MINITOOLAI_STORAGE__URL"] = f"file://{kept}"
        product = Product(server, model)
        product.start()
        caller = await product.caller()

        async def drawn(balance_nusd: int) -> dict[str, Any]:
            told = await (await product.ask(caller)).look(wait_s=60)
            assert (await product.books.balance(caller), await product.books.held()) == (balance_nusd, 0)
            return told

        first = await drawn(CREDIT - PRICE)
        filler = fill(small_disk)
        failed = await drawn(CREDIT - PRICE)
        assert (failed["status"], failed["message"]) == ("error", STORE_FAILED)
        assert list((kept / ".incoming").iterdir()) == []
        assert (await caller.get("/readyz")).status == 200
        filler.unlink()
        second = await drawn(CREDIT - 2 * PRICE)
        for told in (first, second):
            fetched = await caller.get(told["image_url"].removeprefix(server.base))
            assert (fetched.status, read_header(fetched.body)) == (200, PictureHeader("png", 257, 301))
        assert await product.books.problems() == ()
