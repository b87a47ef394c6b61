"""Calls for transcriptions: forms as clients write them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from minitoolai.runtime.model_settings import ModelSettings
from tests.support.clients import Caller, Reply
from tests.support.llama_child import short_folder
from tests.support.local_gateway import LocalGateway, local_gateway
from tests.support.sounds import sound
from tests.support.sounds_child import sounds_child

PATH = "/v1/audio/transcriptions"
WHISPER = "whisper-1"
MODELS = {
    WHISPER: ModelSettings(engine="up", aliases=("small",)),
    "gpt-4o-transcribe": ModelSettings(engine="up"),
    "theirs": ModelSettings(kind="transcription", engine="up", upstream="gpt-4o-transcribe-diarize", usd_per_minute="6"),
    "gpt-4o-mini-transcribe": ModelSettings(),
}
BOUNDARY = "b0undary-of-the-test"
#: 1500 ms at 0.006 USD a minute.
SOUND, MS, COST = sound("wav", 1.5), 1500, 150_000

Fields = Sequence[tuple[str, str | bytes]]


@contextlib.asynccontextmanager
async def transcribing(database_url: str, upstream_url: str) -> AsyncIterator[LocalGateway]:
    """A gateway that serves models which write down speech, with the child that measures sounds.

    Its bodies of JSON have at most 1 MiB: sounds may be larger.
    """
    with short_folder() as folder, sounds_child(folder) as child:
        assert child.started()["event"] == "ready"
        server = {"max_body_bytes": 1024 * 1024}
        sounds = str(child.socket)
        async with local_gateway(database_url, upstream_url, models=MODELS, server=server, sounds_socket=sounds) as started:
            yield started


def form(fields: Fields, file: bytes | None = SOUND, *, boundary: str = BOUNDARY) -> bytes:
    """Return a form, the file behind the fields."""
    parts = [(f'form-data; name="{name}"', value.encode() if isinstance(value, str) else value) for name, value in fields]
    if file is not None:
        parts.append(('form-data; name="file"; filename="../../etc/my speech.mp3"\r\ncontent-type: audio/mpeg', file))
    written = [f"--{boundary}\r\ncontent-disposition: {head}\r\n\r\n".encode() + value + b"\r\n" for head, value in parts]
    return b"".join(written) + f"--{boundary}--\r\n".encode()


async def transcribe(
    caller: Caller,
    *fields: tuple[str, str],
    model: str = WHISPER,
    file: bytes | None = SOUND,
    headers: Mapping[str, str] | None = None,
    boundary: str = BOUNDARY,
) -> Reply:
    """Call."""
    body = form([("model", model), *fields], file, boundary=boundary)
    return await post(caller, body, f"multipart/form-data; boundary={boundary}", headers)


async def post(caller: Caller, body: bytes, media: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Send a body of any kind."""
    return await caller.send(PATH, body, headers={"content-type": media, **(headers or {})})


def usage(milliseconds: int, cost_nusd: int) -> dict[str, Any]:
    """Return our usage of a sound."""
    return {"type": "duration", "seconds": milliseconds / 1000, "cost": cost_nusd / 10**9}
