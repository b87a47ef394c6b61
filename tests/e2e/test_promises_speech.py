"""The promises of speech: whole sentences are paid where it ends early, no purse is overdrawn, a job is spoken once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import aiohttp
import pytest

from minitoolai.core.builtin_models import ESPEAK_MODEL as MODEL
from minitoolai.core.jobs import JobState
from minitoolai.core.sentences import sentences
from minitoolai.core.speech import AudioFormat
from tests.support.books import Books
from tests.support.clients import Caller, Reply, until
from tests.support.databases import PostgresForTests, open_folder
from tests.support.servers import ProductServer, children_of, command_of, product_server
from tests.support.speaking_child import heard

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREATE, JOBS = "/api/texttospeech/", "/api/texttospeech/jobs/"
ESPEAK, WORKER = "minitoolai.children.espeak", "minitoolai.runtime.worker"
SENTENCE = "One sentence follows another, and none of them is the last. "
#: Spoken slowly a quarter of an hour, uncompressed: far more than is under way to a caller who does not read.
LONG = SENTENCE * 60
ENDS = [sentence.ends_at for sentence in sentences(LONG)]
SLOW = {"model": "espeak-ng", "format": "wav", "speed": 0.25, "language": "en"}
CREDIT = 5 * 10**9
COMPLETED, CUT, ABANDONED, EXPIRED = 0, 2, 3, 4
#: The contract: a lease of 15 s, 20 s of grace, a sweep every 5 s, jobs of dead workers likewise; and a busy machine.
HELD_ENDS_S = 45.0 + 30.0
CALLS, PAID = 60, 7
AT_ONCE = 4


@pytest.fixture(scope="module")
def server(embedded_server: PostgresForTests) -> Iterator[ProductServer]:
    """The product with nothing configured: espeak-ng and one worker."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as product:
        product.start()
        product.wait_engine("espeak")
        product.wait_worker("worker-0")
        yield product


@pytest.fixture
def books(server: ProductServer) -> Books:
    """The database beside the server."""
    return Books(server.environment["MINITOOLAI_DATABASE__URL"])


def pid_of(server: ProductServer, module: str) -> int:
    """Return the process id of the one child of the server that runs a module."""
    assert server.process is not None
    (pid,) = [pid for pid in children_of(server.process.pid) if command_of(pid).strip().endswith(module)]
    return pid


async def dies(server: ProductServer, module: str) -> None:
    """Let a child die by SIGKILL, and wait until it is started again."""
    killed = pid_of(server, module)
    os.kill(killed, signal.SIGKILL)

    def another() -> bool:
        with contextlib.suppress(ValueError):
            return pid_of(server, module) != killed
        return False

    await until(another, f"{module} is started again", 60)


@contextlib.asynccontextmanager
async def speech(caller: Caller, text: str = LONG, **fields: Any) -> AsyncIterator[aiohttp.ClientResponse]:
    """Have a text spoken, and take of the sound only what is read; the connection is closed at the end of the block."""
    timeout = aiohttp.ClientTimeout(total=120)
    async with (
        aiohttp.ClientSession(caller.base, headers=caller.authorization, timeout=timeout) as session,
        session.post(CREATE, json={**SLOW, "text": text, **fields}) as reply,
    ):
        assert reply.status == 200, await reply.text()
        try:
            yield reply
        finally:
            reply.close()


async def size(caller: Caller, number: int) -> int:
    """Return how many bytes so many of the sentences are."""
    async with speech(caller, SENTENCE * number) as reply:
        return len(await reply.read())


def is_of_sentences(record: dict[str, Any], least: int = 0) -> None:
    """The record's cost is that of whole sentences, of `least` characters or more, at the model's price."""
    assert record["characters"] in {0, *ENDS}
    assert least <= record["characters"] <= len(LONG)
    assert record["cost"] == MODEL.cost_nusd(record["characters"])


async def all_is_right(books: Books, caller: Caller) -> None:
    """Nothing is held for the caller, whose balance has lost what the records say, and the books are clean."""
    (account,) = await books.fetch("SELECT balance, held FROM accounts WHERE id = $1", caller.account_id)
    spent = sum(record["cost"] for record in await books.records(caller))
    assert (account["balance"], account["held"]) == (CREDIT - spent, 0)
    assert await books.problems() == ()


async def many_leave(server: ProductServer, books: Books, seed: int, times: int) -> None:
    """Let so many callers leave, some at a time, anywhere in the sound; each pays sentences, and the child lets go of it."""
    dice = random.Random(seed)
    first = await books.caller(server.base)
    two, three = [await size(first, number) for number in (2, 3)]
    sentence_bytes, whole_bytes = three - two, two + (three - two) * (len(ENDS) - 2)
    espeak = pid_of(server, ESPEAK)
    idle = sockets(espeak)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, read_bytes: int, *, reset: bool) -> None:
        async with gate:
            caller = await books.caller(server.base)
            async with speech(caller) as reply:
                await reply.content.readexactly(read_bytes)
                if reset:
                    assert reply.connection is not None
                    assert reply.connection.transport is not None
                    reply.connection.transport.abort()
            record = await books.record(caller)
        # Whoever has bytes of a sentence was sent all of those before it.
        is_of_sentences(record, ENDS[read_bytes // sentence_bytes - 1] if read_bytes > sentence_bytes else 0)
        assert record["outcome"] == ABANDONED or record["characters"] == len(LONG), (number, record)
        assert await books.balance(caller) == CREDIT - record["cost"]

    async with asyncio.TaskGroup() as callers:
        for number in range(times):
            read_bytes = int(whole_bytes * dice.random() ** 3)
            callers.create_task(one(number, read_bytes, reset=dice.random() < 0.5))
    await until(lambda: sockets(espeak) <= idle, "the child has let go of all who left")
    assert pid_of(server, ESPEAK) == espeak
    async with speech(first, SENTENCE) as reply:
        assert heard(await reply.read(), "wav").loud_s > 1
    assert await books.held() == 0
    assert await books.problems() == ()


def sockets(pid: int) -> int:
    """Return how many sockets a process has open (Linux)."""
    found = 0
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(entry.path).startswith("socket:")
    return found


async def test_callers_leave_anywhere_in_the_sound(server: ProductServer, books: Books, seed: int) -> None:
    """24 callers, by a reset or by closing: from the first byte to the last sentence."""
    await many_leave(server, books, seed, 24)


@pytest.mark.long
async def test_500_callers_leave_anywhere_in_the_sound(server: ProductServer, books: Books, seed: int) -> None:
    """The promise at length."""
    await many_leave(server, books, seed, 500)


async def test_only_as_much_is_sold_as_is_paid(server: ProductServer, books: Books) -> None:
    """Promise P2: money for 7 texts, 60 at once: 7 are spoken whole, the rest are told so before anything is held."""
    text = SENTENCE.strip()
    caller = await books.caller(server.base, f"0.{PAID * MODEL.cost_nusd(len(text)):09}")
    body = {"model": "espeak-ng", "text": text, "format": "wav"}
    replies = await asyncio.gather(*(caller.send(CREATE, body) for _ in range(CALLS)))
    assert sorted(reply.status for reply in replies) == [200] * PAID + [402] * (CALLS - PAID)
    sounds = {reply.body for reply in replies if reply.status == 200}
    assert len(sounds) == 1, "one text, one sound"
    assert heard(sounds.pop(), "wav").loud_s > 1
    records = await books.records(caller)
    assert [record["characters"] for record in records if record["cost"]] == [len(text)] * PAID
    assert (await books.balance(caller), await books.held()) == (0, 0)
    assert await books.problems() == ()


async def test_a_killed_child_costs_the_sentences_that_were_read(server: ProductServer, books: Books) -> None:
    """Six callers who read slowly: each transfer is broken, each pays whole sentences, and the next call is spoken."""
    callers = [await books.caller(server.base) for _ in range(6)]
    async with contextlib.AsyncExitStack() as stack:
        replies = [await stack.enter_async_context(speech(caller)) for caller in callers]
        read_bytes = await size(callers[0], 2)
        await asyncio.gather(*(reply.content.readexactly(read_bytes) for reply in replies))
        await dies(server, ESPEAK)
        for reply in replies:
            with pytest.raises(aiohttp.ClientPayloadError):
                await reply.content.read()
    for caller in callers:
        await until(partial(_free, books, caller), "its hold is gone")
        record = (await books.records(caller))[-1]
        is_of_sentences(record, ENDS[0])
        assert (record["outcome"], record["characters"] < len(LONG)) == (CUT, True)
        await all_is_right(books, caller)
    await asyncio.to_thread(server.wait_engine, "espeak")
    async with speech(callers[0], SENTENCE) as reply:
        assert heard(await reply.read(), "wav").loud_s > 1


async def _free(books: Books, caller: Caller) -> bool:
    (account,) = await books.fetch("SELECT held FROM accounts WHERE id = $1", caller.account_id)
    return bool(account["held"] == 0)


async def spoken_job(caller: Caller, made: Reply, timeout_s: float) -> Reply:
    """Wait for the end of a job; return the sound."""
    give_up = time.monotonic() + timeout_s
    while (told := await _look(caller, made, wait_s=5))["status"] == "processing":
        assert time.monotonic() < give_up, told
    assert told["status"] == "success", told
    return await caller.get(told["audio_url"].removeprefix(caller.base))


async def _look(caller: Caller, made: Reply, wait_s: float = 0) -> dict[str, Any]:
    question = {"jobid": made.json["jobid"], "signature": made.json["signature"], "wait": wait_s}
    found: dict[str, Any] = (await caller.send(JOBS, question)).json
    return found


@pytest.mark.parametrize("dying", [WORKER, pytest.param(ESPEAK, marks=pytest.mark.long)])
async def test_a_long_text_is_spoken_once_whoever_dies(server: ProductServer, books: Books, dying: str) -> None:
    """Its worker, or the child that speaks it, dies in its middle: the sound is what it is without that, charged once."""
    sound_format: AudioFormat = "flac"
    text = SENTENCE * 600
    body = {"model": "espeak-ng", "text": text, "format": sound_format, "language": "en", "speed": 0.5}
    caller, calm = [await books.caller(server.base) for _ in range(2)]
    made = await caller.send(CREATE, body)
    assert made.status == 200, made.text

    async def in_its_middle() -> bool:
        told = await _look(caller, made)
        assert told["status"] == "processing", "it ended before anything died"
        return bool(told["message"] == "running" and told["progress"] > 0.1)

    await until(in_its_middle, "the job is in its middle", 60)
    await dies(server, dying)
    sound = await spoken_job(caller, made, HELD_ENDS_S + 60)
    undisturbed = await spoken_job(calm, await calm.send(CREATE, body), 90)
    assert sound.body == undisturbed.body
    assert heard(sound.body, sound_format).loud_s > 600
    cost = MODEL.cost_nusd(len(text))
    (row,) = await books.fetch("SELECT * FROM jobs WHERE id = $1", made.json["jobid"])
    assert (row["state"], row["cost"], row["attempt"]) == (JobState.SUCCEEDED, cost, 2)
    records = await books.records(caller)
    assert [(record["cost"], record["characters"]) for record in records] == [(cost, len(text))]
    await all_is_right(books, caller)


async def test_kill_9_of_the_gateway_costs_no_more_than_was_spoken(server: ProductServer, books: Books) -> None:
    """What its lease said at the last renewal is charged by the sweep, and nothing stays held."""
    caller = await books.caller(server.base)
    async with speech(caller) as reply:
        await reply.content.readexactly(4 * 1024 * 1024)
        await asyncio.sleep(6)  # a renewal of the lease carries what was spoken so far
        (pid,) = server.gateway_pids()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.content.read()
    await until(lambda: server.gateway_pids() not in ([], [pid]), "a new gateway", 30)
    record = await books.record(caller, HELD_ENDS_S)
    assert record["outcome"] == EXPIRED
    assert 0 < record["cost"] <= MODEL.cost_nusd(len(LONG))
    assert record["cost"] in {MODEL.cost_nusd(end) for end in ENDS}
    await asyncio.to_thread(server.wait_ready)
    async with speech(caller, SENTENCE) as reply:
        assert heard(await reply.read(), "wav").loud_s > 1
    await all_is_right(books, caller)


async def test_a_stop_lets_speech_finish(server: ProductServer, books: Books) -> None:
    """SIGTERM in the middle of a sound: it comes whole, and is charged whole; the server leaves well."""
    caller = await books.caller(server.base)
    whole_bytes = await size(caller, 20)
    async with speech(caller, SENTENCE * 20) as reply:
        begun = await reply.content.readexactly(1024)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(1)
        assert server.process.poll() is None
        assert len(begun + await reply.content.read()) == whole_bytes
    assert await asyncio.to_thread(server.stop) == 0
    records = await books.records(caller)
    assert [record["characters"] for record in records] == [20 * len(SENTENCE)] * 2
    await all_is_right(books, caller)
