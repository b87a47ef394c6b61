"""Jobs of long texts: what they cost, what is asked of their worker, and whom the desk tells of which kind."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from minitoolai.core.access import Principal
from minitoolai.core.catalog import Catalog, ChatModel, PictureModel, SpeechModel
from minitoolai.core.errors import ApiError, InvalidValue, ModelNotAllowed, ModelNotFound, NoEngine
from minitoolai.core.jobs import Created, JobKind
from minitoolai.core.ledger import HoldAnswer, HoldOutcome, Repeatable
from minitoolai.core.picture_errors import JobNotFound
from minitoolai.core.pictures import PictureRequest
from minitoolai.core.pricing import TokenPrices
from minitoolai.core.records import CallFacts
from minitoolai.core.signatures import check_job, job_signature
from minitoolai.core.speech import SpeechRequest
from minitoolai.core.speech_errors import SpeechOverCap, SpeechOverKeyLimit, SpeechUnpaid
from minitoolai.services.asked_speech import AskedSpeech
from minitoolai.services.jobs import JobDesk, Made
from minitoolai.services.metering import new_call_id
from minitoolai.services.picture_call import PictureCall
from minitoolai.services.picture_jobs import PictureJobs
from minitoolai.services.speech_jobs import SpeechJobs
from tests.support.fakes import ACCOUNT_ID, KEY_ID, FakeReplays, principal
from tests.support.job_fakes import RATES, FakeJobs, FakeNews
from tests.unit.services.picture_room import KEY, Chance

#: 15 dollars a million.
PRICE = 15_000_000_000
MODELS = (
    SpeechModel("speaks", PRICE, engine="espeak", aliases=("alias",)),
    SpeechModel("nobody", PRICE),
    PictureModel("draws", 1_500_000, engine="onnx"),
    ChatModel("chats", TokenPrices(1, 1), 1000, 500, engine="up"),
)
#: Two characters more were sent than are spoken, as of SSML.
SPEECH = SpeechRequest("a" * 5001, language="pl", format="opus")
ASKED = AskedSpeech("speaks", SPEECH, 5003)
COST = 5003 * 15_000
AGAIN = Repeatable("key", b"digest")


class Room:
    """Jobs of both kinds over one desk, and all that it sees."""

    def __init__(self) -> None:
        self.jobs, self.news, self.replays = FakeJobs(), FakeNews(), FakeReplays()
        chance, catalog = Chance(), Catalog(MODELS)
        self.desk = JobDesk(self.jobs, self.news, self.replays, signature_key=KEY, chance=chance)
        self.speech = SpeechJobs(catalog, self.desk)
        self.pictures = PictureJobs(catalog, self.desk, chance=chance)
        self.facts = CallFacts()

    async def create(self, **changes: Any) -> Made:
        """Make a job of a text."""
        return await self.speech.create(principal(), new_call_id(), replace(ASKED, **changes), self.facts)


async def test_a_job_is_made() -> None:
    """With all that the worker, the ledger and the caller need; it costs what was sent, to the nano-dollar."""
    room = Room()
    call_id = new_call_id()
    asked = replace(ASKED, model="alias", webhook_url="https://a.example/", repeatable=AGAIN)
    made = await room.speech.create(principal(), call_id, asked, room.facts)
    (new,) = room.jobs.made
    assert (new.kind, new.characters, new.character_nusd_per_1m, new.price_nusd) == (JobKind.SPEECH, 5003, PRICE, COST)
    assert (new.call_id, new.account_id, new.key_id, new.model, new.engine) == (
        call_id, ACCOUNT_ID, KEY_ID, "speaks", "espeak",
    )  # fmt: skip
    assert (new.webhook_url, new.repeatable, new.reply) == ("https://a.example/", AGAIN, made.reply)
    assert msgspec.json.decode(new.request, type=SpeechRequest) == SPEECH
    told = json.loads(made.reply)
    assert (told["status"], told["jobid"]) == ("success", new.id)
    assert check_job(KEY, new.id, told["signature"])
    assert (made.job_id, made.rates, made.replayed) == (new.id, RATES, False)
    facts = room.facts
    assert (facts.asked, facts.model, facts.engine, facts.held_nusd) == ("alias", "speaks", "espeak", COST)


async def test_without_facts_of_its_own() -> None:
    """Nobody need be told of them."""
    room = Room()
    made = await room.speech.create(principal(), new_call_id(), ASKED)
    assert made.job_id == room.jobs.made[0].id


@pytest.mark.parametrize(
    ("outcome", "error", "words"),
    [
        (HoldOutcome.NO_CREDIT, SpeechUnpaid, "0.075045 USD and 0.001 USD are available"),
        (HoldOutcome.KEY_LIMIT, SpeechOverKeyLimit, "may still spend 0.001 USD"),
    ],
)
async def test_what_the_ledger_refuses(outcome: HoldOutcome, error: type[ApiError], words: str) -> None:
    """In the words of speech."""
    room = Room()
    room.jobs.answers = [Created(HoldAnswer(outcome, 0, 1_000_000, rates=RATES))]
    with pytest.raises(error) as caught:
        await room.create()
    assert type(caught.value) is error
    assert words in caught.value.message
    assert "shorter text" in caught.value.message


async def test_what_is_refused_before_the_ledger_is_asked() -> None:
    """The model, the key's models, the cap; a cap of what it costs is enough."""
    room = Room()
    narrow = Principal(ACCOUNT_ID, KEY_ID, frozenset({"chats"}), None, revoked=False, suspended=False)
    for asked, who, error in (
        (replace(ASKED, model="x"), principal(), ModelNotFound),
        (replace(ASKED, model="draws"), principal(), InvalidValue),
        (replace(ASKED, model="nobody"), principal(), NoEngine),
        (ASKED, narrow, ModelNotAllowed),
        (replace(ASKED, max_cost_nusd=COST - 1), principal(), SpeechOverCap),
    ):
        with pytest.raises(error):
            await room.speech.create(who, new_call_id(), asked)
    assert room.jobs.made == []
    await room.create(max_cost_nusd=COST)
    assert len(room.jobs.made) == 1


async def test_a_repeated_call_is_given_the_first_ones_job() -> None:
    """Also while nobody speaks for the model any more."""
    room = Room()
    first = await room.create(repeatable=AGAIN)
    call_id = room.jobs.made[0].call_id
    room.replays.replies[call_id] = first.reply
    room.replays.calls[ACCOUNT_ID, AGAIN] = call_id
    again = await room.create(model="nobody", repeatable=AGAIN)
    assert (again.job_id, again.reply, again.replayed) == (first.job_id, first.reply, True)
    assert len(room.jobs.made) == 1


async def test_each_kind_is_asked_about_where_it_was_made() -> None:
    """A right signature, or the account's key, opens it there only: elsewhere there is no such job, and nobody waits."""
    room = Room()
    spoken = await room.create()
    call = PictureCall("draws", PictureRequest("a red circle", "", "Euler", 4, 2.0, 512, 512, 7))
    drawn = await room.pictures.create(principal(), new_call_id(), call)
    kinds = {spoken.job_id: JobKind.SPEECH, drawn.job_id: JobKind.PICTURE}
    for job_id, kind in kinds.items():
        signature = job_signature(KEY, job_id)
        (other,) = set(JobKind) - {kind}
        assert (await room.desk.ask(kind, job_id, signature)).kind is kind
        assert (await room.desk.owned(principal(), kind, job_id)).id == job_id
        with pytest.raises(JobNotFound):
            await room.desk.ask(other, job_id, signature, 60)
        with pytest.raises(JobNotFound):
            await room.desk.owned(principal(), other, job_id)
