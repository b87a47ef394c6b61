"""Long texts on the seed's surface: a job from its making to its sound, what it costs, and who may ask about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from minitoolai.core.errors import InvalidValue
from minitoolai.services.job_run import ENGINE_FAILED
from tests.api.picture_calls import CANCEL as PICTURE_CANCEL
from tests.api.picture_calls import CREATE as PICTURE_CREATE
from tests.api.picture_calls import JOBS as PICTURE_JOBS
from tests.api.picture_calls import stranger
from tests.api.speech_calls import MODEL, OURS, Speaking, say
from tests.support.clients import Caller, Reply, until
from tests.support.fake_worker import MODELS
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.speaking import FakeSpeaker, Spoken
from tests.support.speaking_worker import speaking_worker
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOBS, CANCEL = f"{OURS}jobs/", f"{OURS}jobs/cancel/"
NOT_FOUND = {"status": "error", "audio_url": None, "message": "job not found"}
TEXT = "Ala ma kota. " * 400
COST = len(TEXT) * 15_000
SOUND = b"ID3" + bytes(range(256)) * 5000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(file_database_url: str, file_upstream: Upstream) -> AsyncIterator[LocalGateway]:
    """A gateway that makes pictures' jobs as well."""
    async with local_gateway(file_database_url, file_upstream.url, models=MODELS) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def speaking(gateway: LocalGateway, upstream: Upstream) -> Speaking:
    """The gateway, whose models speak by an engine in memory; long texts wait for a worker."""
    found = Speaking(gateway)
    found.serve()
    return found


def speaker(*steps: Any) -> FakeSpeaker:
    """Return what a worker speaks by: a sound, or a script."""
    return FakeSpeaker(*(steps or (SOUND[:1000], Spoken(len(TEXT)), SOUND[1000:])))


async def make(caller: Caller, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """Make a job; return the reply."""
    reply = await say(caller, OURS, headers, **{"text": TEXT, **fields})
    assert reply.status == 200, reply.text
    found: dict[str, Any] = reply.json
    return found


async def ask(caller: Caller, made: dict[str, Any], path: str = JOBS, **fields: Any) -> Reply:
    """Ask about a job, without a key."""
    return await stranger(caller).send(path, {"jobid": made["jobid"], "signature": made["signature"], **fields})


async def charged(speaking: Speaking, caller: Caller, cost: int) -> None:
    """The caller has paid so much, nothing is held, and the books are right."""
    books = speaking.gateway.books
    assert await books.balance(caller) == 5 * 10**9 - cost
    (held,) = await books.fetch("SELECT held FROM accounts WHERE id = $1", caller.account_id)
    assert held["held"] == 0
    assert await books.problems() == ()


@pytest.mark.parametrize(("sound_format", "media"), [("mp3", "audio/mpeg"), ("pcm", "audio/pcm;rate=24000")])
async def test_from_a_text_to_its_sound(speaking: Speaking, caller: Caller, sound_format: str, media: str) -> None:
    """Held until it is done, then charged once by its characters; the sound is at the link, for players in parts."""
    made = await make(caller, format=sound_format)
    assert (await caller.get("/v1/balance")).json["held"] == "0.078"
    reply = await ask(caller, made)
    assert reply.json == {"status": "processing", "audio_url": None, "message": "queued", "progress": 0.0, "position": 1}
    engine = speaker()
    async with speaking_worker(speaking.gateway, [MODEL], engine):
        told = (await ask(caller, made, wait=20)).json
    assert told.keys() == {"status", "audio_url", "message", "characters", "cost"}
    assert (told["status"], told["message"], told["characters"], told["cost"]) == ("success", "success", 5200, "0.078")
    assert [request.text for _, request in engine.asked] == [TEXT]
    path = told["audio_url"].removeprefix(caller.base)
    assert f"/files/{made['jobid']}.{sound_format}?" in path
    fetched = await stranger(caller).get(path)
    assert (fetched.status, fetched.body) == (200, SOUND)
    assert fetched.headers["content-type"].startswith(media)
    part = await stranger(caller).send(path, method="GET", headers={"range": "bytes=5-9"})
    assert (part.status, part.body, part.headers["content-range"]) == (206, SOUND[5:10], f"bytes 5-9/{len(SOUND)}")
    await charged(speaking, caller, COST)
    (record,) = (await caller.get("/v1/usage")).json["data"]
    assert (record["model"], record["characters"], record["usd_per_1m_characters"]) == ("tts-1", 5200, "15")
    assert (record["cost"], record["images"], record["fees"], record["outcome"]) == ("0.078", 0, "0", "completed")


async def test_ssml_is_charged_as_it_was_sent(speaking: Speaking, caller: Caller) -> None:
    """Its marks are characters like others."""
    text = f"<speak>{'a' * 4090}</speak>"
    made = await make(caller, text=text, ssml=True)
    async with speaking_worker(speaking.gateway, [MODEL], speaker(SOUND)):
        told = (await ask(caller, made, wait=20)).json
    assert (told["characters"], told["cost"]) == (len(text), "0.061575")
    await charged(speaking, caller, len(text) * 15_000)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (speaker(SOUND, InvalidValue(param="voice", why="there is none.")), "there is none"),
        (speaker(b"<html>"), ENGINE_FAILED),
    ],
    ids=["refused", "broken"],
)
async def test_a_failed_job_says_why_and_costs_nothing(
    speaking: Speaking, caller: Caller, engine: FakeSpeaker, words: str
) -> None:
    """With status 200: the question was answered."""
    made = await make(caller)
    async with speaking_worker(speaking.gateway, [MODEL], engine):
        await speaking.gateway.books.fetch("UPDATE jobs SET failures = 2 WHERE id = $1 RETURNING id", made["jobid"])
        reply = await ask(caller, made, wait=20)
    assert (reply.status, reply.json["status"], reply.json["audio_url"]) == (200, "error", None)
    assert words in reply.json["message"]
    await charged(speaking, caller, 0)


async def test_a_job_is_cancelled_while_it_is_spoken(speaking: Speaking, caller: Caller) -> None:
    """By its signature or a key of its account; the engine stops, and nothing is charged."""
    engine = speaker(SOUND, lambda: asyncio.get_running_loop().create_future())
    made = [await make(caller) for _ in range(2)]
    async with speaking_worker(speaking.gateway, [MODEL], engine):
        await until(lambda: len(engine.replies) == 2, "both are spoken")
        assert (await ask(caller, made[0])).json["message"] == "running"
        by_signature = await ask(caller, made[0], CANCEL)
        by_key = await caller.send(CANCEL, {"jobid": made[1]["jobid"]})
        for reply in (by_signature, by_key):
            assert (reply.status, reply.json["status"], reply.json["audio_url"]) == (200, "error", None)
            assert reply.json["message"] == "It was cancelled. Nothing was charged."
        await until(lambda: [reply.closed for reply in engine.replies] == [1, 1], "the engine hears of it")
    await charged(speaking, caller, 0)


async def test_a_repeated_call_is_given_the_first_ones_job(speaking: Speaking, caller: Caller) -> None:
    """Byte for byte; it is spoken and charged once. Another body with that key is refused in the seed's shape."""
    headers = {"idempotency-key": "long"}
    first = await say(caller, OURS, headers, text=TEXT)
    again = await say(caller, OURS, headers, text=TEXT)
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["x-minitoolai-replayed"] == "true"
    other = await say(caller, OURS, headers, text=f"{TEXT}!")
    assert (other.status, other.json["status"], other.json["jobid"]) == (422, "error", None)
    engine = speaker()
    async with speaking_worker(speaking.gateway, [MODEL], engine):
        assert (await ask(caller, first.json, wait=20)).json["status"] == "success"
    assert len(engine.asked) == 1
    await charged(speaking, caller, COST)


async def test_each_kind_is_asked_about_at_its_own_place(speaking: Speaking, caller: Caller) -> None:
    """With a right signature too: elsewhere there is no such job, for a question and for its end."""
    spoken = await make(caller)
    drawn = (await caller.send(PICTURE_CREATE, {"model": "realvision", "prompt": "a red circle"})).json
    picture_not_found = {"status": "error", "image_url": None, "message": "job not found"}
    for made, paths, body in (
        (spoken, (PICTURE_JOBS, PICTURE_CANCEL), picture_not_found), (drawn, (JOBS, CANCEL), NOT_FOUND),
    ):  # fmt: skip
        for path in paths:
            reply = await ask(caller, made, path, **({"wait": 60} if path in (JOBS, PICTURE_JOBS) else {}))
            assert (reply.status, reply.json) == (404, body)
        reply = await caller.send(paths[1], {"jobid": made["jobid"]})
        assert (reply.status, reply.json) == (404, body)
    for made, path in ((spoken, CANCEL), (drawn, PICTURE_CANCEL)):
        assert (await ask(caller, made, path)).json["message"].startswith("It was cancelled")
    await charged(speaking, caller, 0)


async def test_wrong_questions(speaking: Speaking, caller: Caller) -> None:
    """A wrong signature looks like no job; a body that is none is refused in the shape of the reply, with its field."""
    made = await make(caller)
    for job_id, signature in ((made["jobid"], "x" * 22), (10**9, made["signature"]), (made["jobid"], "")):
        reply = await stranger(caller).send(JOBS, {"jobid": job_id, "signature": signature})
        assert (reply.status, reply.json) == (404, NOT_FOUND)
    reply = await stranger(caller).send(JOBS, {"jobid": made["jobid"], "signature": made["signature"], "wait": 61})
    assert (reply.status, reply.error["param"], reply.json["status"]) == (400, "wait", "error")
    assert reply.json["audio_url"] is None
    reply = await stranger(caller).send(CANCEL, {"jobid": made["jobid"]})
    assert (reply.status, reply.error["code"], reply.json["audio_url"]) == (401, "invalid_api_key", None)
    await ask(caller, made, CANCEL)


async def test_pages_of_any_origin_may_ask(speaking: Speaking, caller: Caller) -> None:
    """About a job, not for one: that takes a key."""
    made, origin = await make(caller), {"origin": "https://page.example"}
    body = {"jobid": made["jobid"], "signature": made["signature"]}
    reply = await stranger(caller).send(JOBS, body, headers=origin)
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in (await say(caller, OURS, origin, text="x")).headers
    await ask(caller, made, CANCEL)
