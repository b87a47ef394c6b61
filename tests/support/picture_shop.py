"""A shop that sells pictures: the product as a real process, what is asked of it, and processes of it that die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg

from tests.support.clients import Caller, Reply, until
from tests.support.drawing_product import Job, Product
from tests.support.servers import children_of, command_of

CREATE = "/api/texttoimage/"
#: Few enough that most pictures are drawn several times: one order, one picture, whoever drew it in which attempt.
ORDERS: tuple[dict[str, Any], ...] = tuple(
    {"model": "realvision", "prompt": "the red star", "width": width, "height": height, "steps": steps, "seed": seed}
    for seed, (width, height, steps) in enumerate([(257, 301, 1), (512, 512, 8), (640, 256, 4), (1024, 1024, 8)])
)
#: What dies, by a part of its command.
WORKER, GATEWAY = "minitoolai.runtime.worker", "minitoolai.runtime.gateway"
ENGINE, DATABASE = "children.onnx_pictures", "/bin/postgres"
#: Jobs of dead workers are taken up after a lease, the grace after an outage and a sweep: 40 s; and a busy machine.
PATIENCE_S = 120.0
#: Times that each call of the keyed account is made, whatever the first one was answered.
REPEATS = 2


@dataclass
class Sold(Job):
    """A job that a customer was told of, and the number of its order."""

    order: int


@dataclass
class Shop:
    """The product, and what was asked of it."""

    product: Product
    chance: random.Random
    sold: list[Sold] = field(default_factory=list)

    def note(self, caller: Caller, order: int, reply: Reply) -> Sold:
        """Note what a call was answered."""
        assert reply.status == 200, reply.text
        self.sold.append(Sold(caller, reply.json["jobid"], reply.json["signature"], order))
        return self.sold[-1]

    async def ask(self, caller: Caller) -> Sold:
        """Ask for any picture."""
        order = self.chance.randrange(len(ORDERS))
        return self.note(caller, order, await caller.send(CREATE, ORDERS[order]))

    async def insist(self, caller: Caller, key: str) -> None:
        """Ask for a picture until it is granted, and then again, by one `Idempotency-Key`."""
        order = self.chance.randrange(len(ORDERS))
        replies: list[Reply] = []
        while len(replies) < REPEATS:
            with contextlib.suppress(aiohttp.ClientError, OSError):  # its gateway may be the one that dies
                reply = await caller.send(CREATE, ORDERS[order], headers={"idempotency-key": key})
                assert reply.status in {200, 503}, reply.text
                replies += [reply] if reply.status == 200 else []
            await asyncio.sleep(0.1)
        first, *others = [reply.json for reply in replies]
        assert others == [first] * (REPEATS - 1)
        self.note(caller, order, replies[0])

    async def ended(self) -> int:
        """Return how many jobs have ended; -1 while the database is away."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return len(await self.product.books.fetch("SELECT 1 FROM jobs WHERE ended_at IS NOT NULL"))
        return -1

    async def kill(self, what: str) -> None:
        """Let one of the processes of a kind die, once there is one."""
        assert self.product.server.process is not None
        supervisor = self.product.server.process.pid
        pids = await until(
            lambda: [pid for pid in children_of(supervisor) if what in command_of(pid)], f"there is a {what}", PATIENCE_S
        )
        os.kill(self.chance.choice(pids), signal.SIGKILL)

    async def chaos(self, deaths: dict[str, int], jobs: int) -> None:
        """Let all of `deaths` happen, each when so many of `jobs` have ended as chance says, and wait for the end of all."""
        kinds = [what for what, times in deaths.items() for _ in range(times)]
        self.chance.shuffle(kinds)
        for what, reached in zip(kinds, sorted(self.chance.randrange(jobs * 9 // 10) for _ in kinds), strict=True):
            await self.so_many_end(reached)
            await asyncio.sleep(self.chance.uniform(0, 0.5))  # anywhere in a picture
            await self.kill(what)
        await self.so_many_end(jobs)

    async def so_many_end(self, jobs: int) -> None:
        """Wait until so many jobs have ended; `PATIENCE_S` is for the next one."""
        while (seen := await self.ended()) < jobs:
            await self._more_than(seen)

    async def _more_than(self, seen: int) -> None:
        async def more() -> bool:
            return await self.ended() > seen

        await until(more, f"more than {seen} jobs have ended", PATIENCE_S)
