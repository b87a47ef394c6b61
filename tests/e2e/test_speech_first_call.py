"""Speech of the whole product as it comes: a fresh sandbox speaks by espeak-ng, on both surfaces, in every format."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import openai
import pytest

from minitoolai.core.speech import FORMATS, MEDIA_TYPES
from tests.support.databases import open_folder
from tests.support.servers import ProductServer, product_server
from tests.support.speaking_child import heard

TEXT = "Good morning. This sentence is spoken by the machine itself, and every character of it is paid."
#: USD for the text: tts-1 costs 15, espeak-ng 1, for a million characters.
TTS, ESPEAK = (Decimal(price) * len(TEXT) / 10**6 for price in (15, 1))
#: Encoders keep a frame or two of silence around a sound, and Opus up to 80 ms at its end.
PADDING_S = 0.15


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ProductServer]:
    """A server started with nothing configured, once it can speak."""
    with open_folder() as folder, product_server(folder, None) as server:
        server.start()
        server.wait_engine("espeak")
        yield server


@pytest.fixture(scope="module")
def key(sandbox: ProductServer) -> str:
    """The key of the first start."""
    return (sandbox.data_dir / "first-key").read_text().strip()


def ask(sandbox: ProductServer, key: str, path: str, body: dict[str, Any] | None = None) -> tuple[bytes, HTTPMessage]:
    """Return the server's reply and its headers."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{sandbox.base}{path}", data, headers), timeout=60) as reply:
        return reply.read(), reply.headers


def usage(sandbox: ProductServer, key: str, headers: HTTPMessage) -> dict[str, Any]:
    """Return what the usage says of a call."""
    found = json.loads(ask(sandbox, key, f"/v1/usage?request_id={headers['x-request-id']}")[0])["data"]
    assert len(found) == 1
    return dict(found[0])


def balance(sandbox: ProductServer) -> Decimal:
    """Return what the sandbox's account has left; nothing is held meanwhile."""
    shown = sandbox.json("account", "show", "sandbox")
    assert shown["held"] == "0"
    return Decimal(shown["balance"])


def test_both_surfaces_speak_in_every_format(sandbox: ProductServer, key: str) -> None:
    """Each is a sound of the same length, and each call is charged to the nano-dollar, as its usage says."""
    before = balance(sandbox)
    spoken = heard(ask(sandbox, key, "/api/texttospeech/", {"model": "tts-1", "text": TEXT, "format": "pcm"})[0], "pcm")
    spoken_s = spoken.seconds
    assert 4 < spoken_s < 10
    assert spoken.loud_s > spoken_s / 2
    for sound_format in FORMATS:
        ours = {"model": "tts-1", "text": TEXT, "format": sound_format}
        openais = {"model": "espeak-ng", "input": TEXT, "response_format": sound_format}
        for path, body, cost in (("/api/texttospeech/", ours, TTS), ("/v1/audio/speech", openais, ESPEAK)):
            sound, headers = ask(sandbox, key, path, body)
            assert headers["content-type"] == MEDIA_TYPES[sound_format]
            assert spoken_s - 0.001 <= heard(sound, sound_format).seconds <= spoken_s + PADDING_S, sound_format
            said = usage(sandbox, key, headers)
            assert (said["characters"], said["engine"], said["outcome"]) == (len(TEXT), "espeak", "completed")
            assert Decimal(said["cost"]) == cost
    assert before - balance(sandbox) == TTS + len(FORMATS) * (TTS + ESPEAK)
    assert sandbox.json("ledger", "verify")["ok"]


def test_openais_sdk_streams_to_a_file(sandbox: ProductServer, key: str, tmp_path: Path) -> None:
    """And events end with what the speech cost."""
    file = tmp_path / "speech.opus"
    with openai.OpenAI(base_url=f"{sandbox.base}/v1", api_key=key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": "tts-1", "voice": "nova", "input": TEXT, "response_format": "opus"}
        with client.audio.speech.with_streaming_response.create(**asked) as answer:
            answer.stream_to_file(file)
        assert heard(file.read_bytes(), "opus").seconds > 4
    lines = ask(sandbox, key, "/v1/audio/speech", {**asked, "stream_format": "sse"})[0].decode().split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"
    assert (events[-1]["usage"]["characters"], events[-1]["usage"]["cost"]) == (len(TEXT), float(TTS))


def test_the_sandbox_says_who_speaks(sandbox: ProductServer, key: str) -> None:
    """OpenAI's models by a stand-in, espeak-ng as itself, and who writes down nobody; voices of many languages."""
    models = {each["id"]: each for each in json.loads(ask(sandbox, key, "/v1/models")[0])["data"]}
    assert [models[name]["served_by"] for name in ("tts-1", "tts-1-hd", "espeak-ng")] == ["starter", "starter", "espeak"]
    assert "whisper-1" not in models
    voices = json.loads(ask(sandbox, key, "/v1/audio/voices?model=espeak-ng")[0])["data"]
    assert {"en", "pl", "de", "fr", "es", "uk", "zh", "ar"} <= {voice["language"].split("-")[0] for voice in voices}
    assert {"alloy", "nova", "onyx"} <= {voice["id"] for voice in voices}
    quote = json.loads(ask(sandbox, key, "/v1/quotes", {"model": "tts-1", "text": TEXT})[0])
    assert Decimal(quote["max_cost"]) == TTS
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(sandbox, key, "/api/texttospeech/", {"model": "tts-1", "text": TEXT, "voice": "nobody"})
    assert refused.value.code == 400
    assert json.loads(refused.value.read())["error"]["param"] == "voice"


def test_a_long_text_is_a_job(sandbox: ProductServer, key: str) -> None:
    """A worker of the server speaks it by the same engine; it is charged once, when it is stored."""
    before = balance(sandbox)
    text = f"{TEXT} " * 50
    made = json.loads(ask(sandbox, key, "/api/texttospeech/", {"model": "espeak-ng", "text": text, "format": "opus"})[0])
    assert made["status"] == "success"
    question = {"jobid": made["jobid"], "signature": made["signature"], "wait": 30}
    give_up = time.monotonic() + 120
    while True:
        job = json.loads(ask(sandbox, key, "/api/texttospeech/jobs/", question)[0])
        if job["status"] != "processing":
            break
        assert time.monotonic() < give_up, job
    assert (job["status"], job["characters"]) == ("success", len(text)), job
    with urllib.request.urlopen(job["audio_url"], timeout=60) as reply:
        assert reply.headers["content-type"].startswith("audio/ogg")
        assert 50 * 4 < heard(reply.read(), "opus").seconds < 50 * 10
    cost = Decimal(len(text)) / 10**6
    assert (Decimal(job["cost"]), before - balance(sandbox)) == (cost, cost)


def test_the_command_saves_speech(sandbox: ProductServer, key: str, tmp_path: Path) -> None:
    """`minitoolai speak` with the first key; it says what it cost, and what is wrong."""
    file = tmp_path / "hello.wav"
    told = sandbox.json("speak", "Dzień", "dobry.", "--out", str(file), "--voice", "pl", "--url", sandbox.base)
    assert (told["file"], told["cost"]) == (str(file), "0.000012")
    assert 0.4 < heard(file.read_bytes(), "wav").seconds < 3
    done = sandbox.command("speak", "Hello", "--speed", "9", "--url", sandbox.base, check=False)
    assert (done.returncode, "speed" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_doctor_finds_it_well(sandbox: ProductServer) -> None:
    """Speech and its engine, with nothing to remedy."""
    found = {each["subject"]: each for each in sandbox.json("doctor")}
    assert [found[name]["verdict"] for name in ("speech", "engine espeak")] == ["ok", "ok"]
