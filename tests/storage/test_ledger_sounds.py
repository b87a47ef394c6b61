"""What was spoken or written down stands in the usage records, in batches with and without it, in time and late."""

from __future__ import annotations

import msgspec

from minitoolai.core.ledger import CallOutcome, Resolution, Settlement
from tests.storage.desk import Desk, ask, cost, hold_all, settle_all

_RECORDS = "SELECT id, characters, character_nusd_per_1m, audio_ms, audio_minute_nusd, prompt_tokens FROM usage_records"


async def recorded(desk: Desk) -> dict[object, tuple[int, ...]]:
    """Return what the records say of sounds, and of tokens, by call."""
    return {row["id"]: tuple(row)[1:] for row in await desk.sql(_RECORDS)}


async def test_calls_of_all_kinds_in_one_batch(desk: Desk) -> None:
    """Each has its own figures; those of a model that costs nothing are noted too, and a call of chat has none."""
    account = await desk.account(1000)
    key, ledger = await desk.key(account), await desk.ledger()
    speech, sound, chat, free = requests = [ask(account, key, 100) for _ in range(4)]
    await hold_all(ledger, requests)
    await settle_all(ledger, [
        Settlement(speech.id, 60, CallOutcome.COMPLETED, characters=4096, character_nusd_per_1m=15_000),
        Settlement(sound.id, 40, CallOutcome.CUT, audio_ms=90_500, audio_minute_nusd=6_000),
        cost(chat.id, 20),
        Settlement(free.id, 0, CallOutcome.COMPLETED, characters=7),
    ])  # fmt: skip
    assert await recorded(desk) == {
        speech.id: (4096, 15_000, 0, 0, 0), sound.id: (0, 0, 90_500, 6_000, 0), chat.id: (0, 0, 0, 0, 7),
        free.id: (7, 0, 0, 0, 0),
    }  # fmt: skip
    assert await desk.money(account) == (880, 0)
    await desk.clean()


async def test_a_call_that_is_settled_late(desk: Desk) -> None:
    """Its record stands since it expired: it is told what was spoken once that is known, and again is no other."""
    account = await desk.account(1000)
    key, dead, sweeper = await desk.key(account), await desk.ledger(), await desk.ledger()
    request = ask(account, key, 100)
    await dead.hold(request)
    await desk.kill(dead)
    assert await sweeper.sweep() == 1
    assert await recorded(desk) == {request.id: (0, 0, 0, 0, 0)}
    settlement = Settlement(request.id, 30, CallOutcome.ABANDONED, characters=200, character_nusd_per_1m=150_000)
    assert (await sweeper.settle(settlement)).resolution is Resolution.LATE
    assert await recorded(desk) == {request.id: (200, 150_000, 0, 0, 0)}
    again = await sweeper.settle(msgspec.structs.replace(settlement))
    assert again.resolution is Resolution.EXISTS
    assert await recorded(desk) == {request.id: (200, 150_000, 0, 0, 0)}
    assert await desk.money(account) == (970, 0)
    await desk.clean()
