"""A gateway that speaks by engines in memory, calls for speech, and what they must cost."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from minitoolai.api.quotes import add_quotes
from minitoolai.api.speech import add_speech, speech_quoter
from minitoolai.core.catalog import Catalog, ChatModel, Route, SpeechModel
from minitoolai.core.money import parse_usd
from minitoolai.core.pricing import TokenPrices
from minitoolai.services.access import Access
from minitoolai.services.metering import Metering
from minitoolai.services.routing import Router
from minitoolai.services.speech import Speech
from minitoolai.services.speech_jobs import SpeechJobs
from minitoolai.services.speech_ports import SpeechEngine
from minitoolai.services.speech_voices import Voices
from minitoolai.storage.database import Database
from minitoolai.storage.kept_sounds import BlobSounds
from minitoolai.storage.keys import PgKeys
from minitoolai.storage.replays import PgReplays
from minitoolai.storage.seal import Seal
from tests.support.blobs import FakeBlobs
from tests.support.clients import Caller, Reply, shows
from tests.support.local_gateway import LocalGateway
from tests.support.speaking import FakeSpeaker, Spoken

REQUEST = "invalid_request_error"
OURS, OPENAIS = "/api/texttospeech/", "/v1/audio/speech"
#: Two sentences, of 6 and 6 characters.
TEXT = "Hello. World."
#: 15 dollars a million characters.
PRICE = parse_usd("15.00")
COST = len(TEXT) * PRICE // 10**6
FIRST = 7 * PRICE // 10**6
#: What the engine says by itself.
SOUND = b"ID3 the sound"
STEPS = (b"ID3 ", Spoken(7), b"the ", b"sound", Spoken(len(TEXT)))
MODEL = SpeechModel("tts-1", PRICE, engine="fake", aliases=("tts",))
CHAT = ChatModel("gpt-4o-mini", TokenPrices(1, 1), 1000, 500, engine="up")


@dataclass
class Speaking:
    """The parts that tests look into."""

    gateway: LocalGateway
    engine: FakeSpeaker = field(default_factory=lambda: FakeSpeaker(*STEPS, ignores=["instructions"]))
    blobs: FakeBlobs = field(default_factory=FakeBlobs)

    def serve(self, *others: SpeechEngine) -> None:
        """Let the gateway speak by the engine, and by `others` where it fails."""
        add_speaking(self.gateway, [self.engine, *others], self.blobs)


def add_speaking(gateway: LocalGateway, engines: Sequence[SpeechEngine], blobs: FakeBlobs) -> None:
    """Let a gateway's routes of speech be answered by these engines, over its own ledger."""
    inside = gateway.inside
    database: Database = inside.databases[0]
    seal = Seal(bytes(32))
    router: Router[SpeechModel, SpeechEngine] = Router({each.name: each for each in engines}, {}, random.Random(1))
    first, *rest = engines
    model = replace(MODEL, engine=first.name, others=tuple(Route(each.name) for each in rest))
    catalog = Catalog([model, replace(MODEL, id="tts-1-hd", engine=None, aliases=()), CHAT])
    replays = PgReplays(database, seal)
    sounds = BlobSounds(blobs, seal)
    speech = Speech(catalog, router, Metering(inside.ledger), inside.calls, replays, sounds)
    routes, access = inside.application._routes, Access(PgKeys(database))
    jobs = SpeechJobs(catalog, inside.drawn.desk)
    add_speech(routes, access, speech, Voices(catalog, router), jobs, max_body_bytes=20 * 1024 * 1024)
    add_quotes(routes, access, catalog, {SpeechModel: speech_quoter(speech)}, max_body_bytes=20 * 1024 * 1024)


async def say(caller: Caller, path: str = OPENAIS, headers: dict[str, str] | None = None, /, **fields: Any) -> Reply:
    """Call; fields of None are left out."""
    text = "input" if path == OPENAIS else "text"
    body = {"model": "tts-1", text: TEXT, "voice": "alloy", **fields}
    return await caller.send(path, {name: value for name, value in body.items() if value is not None}, headers=headers)


def refuses(reply: Reply, status: int, code: str, *words: str, param: str | None = None, kind: str = REQUEST) -> None:
    """The reply is that error: OpenAI's, on our surface within the seed's reply to a new job."""
    told = reply.json
    if "status" in told:
        said = {"status": "error", "jobid": None, "signature": None, "message": told["error"]["message"]}
        assert told == {**said, "error": told["error"]}
        reply = replace(reply, body=json.dumps({"error": told["error"]}).encode())
    shows(reply, status, code, kind, *words, param=param)


def text_of(path: str) -> str:
    """What a surface calls the text."""
    return "text" if path == OURS else "input"


def format_of(path: str) -> str:
    """What a surface calls the format."""
    return "format" if path == OURS else "response_format"
