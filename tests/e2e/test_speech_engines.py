"""Every engine of speech behind the real server: voices of files, an upstream that writes down, a child that is killed."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from minitoolai.core.speech import MEDIA_TYPES
from tests.support import tiny_kokoro, tiny_piper
from tests.support.clients import until
from tests.support.servers import ProductServer, children_of, command_of
from tests.support.speaking_child import heard
from tests.support.upstream import Upstream

ESPEAK = "minitoolai.children.espeak"
TEXT = "The house is red. The sea is blue."
SETTINGS = """
[engines.up]
kind = "openai"
base_url = "{upstream}"
[engines.piper]
kind = "piper"
model_path = "{folder}/piper"
[engines.kokoro]
kind = "kokoro"
model_path = "{folder}/kokoro"
[models.piper]
kind = "speech"
engine = "piper"
usd_per_1m_characters = "2"
[models.kokoro]
kind = "speech"
engine = "kokoro"
usd_per_1m_characters = "5"
[models.whisper-1]
engine = "up"
"""
#: Half an hour of speech at this speed: far more than is under way between a child and a caller who does not read.
LONG = "One sentence follows another, and none of them is the last. " * 60
#: Read before the child dies: several sentences, uncompressed.
READ_BYTES = 4 * 1024 * 1024


def children(product: ProductServer, module: str) -> list[int]:
    """Return the process ids of the server's children that run a module."""
    assert product.process is not None
    return [pid for pid in children_of(product.process.pid) if command_of(pid).strip().endswith(module)]


async def usage(session: aiohttp.ClientSession, call: aiohttp.ClientResponse) -> dict[str, object]:
    """Return what the usage says of a call."""
    async with session.get("/v1/usage", params={"request_id": call.headers["x-request-id"]}) as reply:
        (found,) = (await reply.json())["data"]
        return dict(found)


async def test_voices_of_files_speak_and_an_upstream_writes_it_down(
    product: ProductServer, upstream: Upstream, tmp_path: Path
) -> None:
    """Each by its own price: characters of the text, and the length of the sound as this server measures it."""
    tiny_piper.make(tmp_path / "piper")
    tiny_kokoro.make(tmp_path / "kokoro")
    product.configure(SETTINGS.format(upstream=upstream.url, folder=tmp_path))
    product.start()
    for name in ("piper", "kokoro", "espeak"):
        product.wait_engine(name)
    headers = {"authorization": f"Bearer {product.make_key()}"}
    async with aiohttp.ClientSession(product.base, headers=headers) as session:
        for model, price in (("piper", 2), ("kokoro", 5), ("espeak-ng", 1)):
            body = {"model": model, "text": TEXT, "format": "wav", "language": "en"}
            async with session.post("/api/texttospeech/", json=body) as reply:
                sound = await reply.read()
                assert (reply.status, reply.headers["content-type"]) == (200, MEDIA_TYPES["wav"]), sound
                said = await usage(session, reply)
            assert heard(sound, "wav").seconds > 0.2
            assert (said["characters"], Decimal(str(said["cost"]))) == (len(TEXT), Decimal(price * len(TEXT)) / 10**6)
        form = aiohttp.FormData({"model": "whisper-1"})
        form.add_field("file", sound, filename="speech.wav", content_type="audio/wav")
        async with session.post("/v1/audio/transcriptions", data=form) as reply:
            assert (reply.status, "text" in await reply.json()) == (200, True)
            written = await usage(session, reply)
    length = heard(sound, "wav").seconds
    assert length <= float(str(written["audio_seconds"])) < length + 0.05
    assert Decimal(str(written["cost"])) == (Decimal(str(written["audio_seconds"])) * Decimal("0.0001")).normalize()
    assert len(children(product, "minitoolai.children.sounds")) == 1
    assert product.json("ledger", "verify")["ok"]


async def test_a_killed_child_breaks_the_transfer_and_charges_what_was_spoken(product: ProductServer) -> None:
    """What came does not look finished, the sentences that were read are paid, and the next call is answered."""
    product.start()
    product.wait_engine("espeak")
    headers = {"authorization": f"Bearer {product.make_key()}"}
    body = {"model": "espeak-ng", "text": LONG, "format": "wav", "speed": 0.25}
    async with aiohttp.ClientSession(product.base, headers=headers) as session:
        async with session.post("/api/texttospeech/", json=body) as reply:
            await reply.content.readexactly(READ_BYTES)
            (killed,) = children(product, ESPEAK)
            os.kill(killed, signal.SIGKILL)
            with pytest.raises(aiohttp.ClientPayloadError):
                await reply.content.read()
            said = await usage(session, reply)
        characters = int(str(said["characters"]))
        assert said["outcome"] == "cut"
        assert 0 < characters < len(LONG)
        assert Decimal(str(said["cost"])) == Decimal(characters) / 10**6
        await until(lambda: children(product, ESPEAK) not in ([], [killed]), "the child is started again")
        product.wait_engine("espeak")
        async with session.post("/api/texttospeech/", json={"model": "espeak-ng", "text": TEXT}) as reply:
            assert (reply.status, heard(await reply.read(), "mp3").loud_s > 1) == (200, True)
    assert product.json("account", "show", "test")["held"] == "0"
    assert product.json("ledger", "verify")["ok"]
