"""Speech over real HTTP: what is refused before it costs anything, and in which words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.api.embedding_calls import charged
from tests.api.speech_calls import OPENAIS, OURS, Speaking, format_of, refuses, say, text_of
from tests.support.clients import Caller
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOTH = pytest.mark.parametrize("path", [OURS, OPENAIS])


@pytest_asyncio.fixture(loop_scope="module")
async def speaking(gateway: LocalGateway, upstream: Upstream) -> AsyncIterator[Speaking]:
    """The gateway, which speaks by an engine in memory."""
    found = Speaking(gateway)
    found.serve()
    yield found


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t \u3000",
        "\0\x01",
        "\u200b\ufeff\u200d",
        "\ufe0f" * 9,
        "\ue000\U0010ffff",
        "\u0301",
        None,
        5,
        ["a"],
        {"a": 1},
    ],
    ids=ascii,
)
async def test_texts_with_nothing_to_say(speaking: Speaking, caller: Caller, path: str, text: Any) -> None:
    """400 with the field's name in the surface's own words."""
    body = {"model": "tts-1", text_of(path): text} if text is not None else {"model": "tts-1"}
    reply = await caller.send(path, body)
    refuses(reply, 400, "invalid_value", param=text_of(path))
    assert speaking.engine.asked == []
    await charged(speaking.gateway, caller, 0, records=0)


@BOTH
@pytest.mark.parametrize(
    "raw",
    [rb'"\ud800"', rb'"a\ud83d"', rb'"\ude00"', rb'"\ud83dx"', b'"\xed\xa0\x80"', b'"\xff"', b'"a\x00b"', b'"a\nb"'],
    ids=repr,
)
async def test_halves_of_characters_are_no_text(speaking: Speaking, caller: Caller, path: str, raw: bytes) -> None:
    """Escaped or not, they are 400; so are controls that JSON has escapes for."""
    body = b'{"model": "tts-1", "' + text_of(path).encode() + b'": ' + raw + b"}"
    refuses(await caller.send(path, body), 400, "invalid_json", *(["half of a character"] if b"\\u" in raw else []))
    assert speaking.engine.asked == []


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        "no markup", "<speak>", "<speak></speak>", "<speak> <break time='1s'/> </speak>",
        "<!DOCTYPE s [<!ENTITY a 'b'>]><speak>&a;</speak>", "<speak><audio src='/etc/passwd'/>a</speak>",
        "<speak>" * 1000 + "a" + "</speak>" * 1000,
    ],
)  # fmt: skip
async def test_markup_that_is_not_spoken(speaking: Speaking, caller: Caller, path: str, text: str) -> None:
    """400 with the text's name; nothing of it reaches an engine."""
    reply = await say(caller, path, **{text_of(path): text[:4096]}, ssml=True)
    refuses(reply, 400, "invalid_value", param=text_of(path))
    assert speaking.engine.asked == []


@BOTH
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"), ({"model": 5}, "model"), ({"model": "gpt-4o-mini"}, "model"), ({"voice": ""}, "voice"),
        ({"voice": 5}, "voice"), ({"voice": "x" * 101}, "voice"), ({"voice": {"id": ""}}, "voice.id"),
        ({"voice": {}}, "voice.id"), ({"speed": 0.2}, "speed"), ({"speed": 4.1}, "speed"), ({"speed": "1"}, "speed"),
        ({"speed": True}, "speed"), ({"pitch": 0.4}, "pitch"), ({"pitch": 3}, "pitch"), ({"language": ""}, "language"),
        ({"language": "en_GB"}, "language"), ({"language": "pl\n"}, "language"), ({"language": "a-" * 20 + "b"}, "language"),
        ({"language": 1}, "language"), ({"ssml": 1}, "ssml"), ({"FORMAT": "ogg"}, "FORMAT"), ({"FORMAT": "MP3"}, "FORMAT"),
        ({"FORMAT": 1}, "FORMAT"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else None,
)  # fmt: skip
async def test_each_field_is_checked_by_name(
    speaking: Speaking, caller: Caller, path: str, fields: dict[str, Any], param: str
) -> None:
    """400 with the name that the surface has for it; nothing is asked, held or charged."""
    named = {name.replace("FORMAT", format_of(path)): value for name, value in fields.items()}
    reply = await say(caller, path, **named)
    param = param.replace("FORMAT", format_of(path))
    refuses(reply, 400, "invalid_value", f"'{param}'", param=param)
    assert speaking.engine.asked == []
    await charged(speaking.gateway, caller, 0, records=0)


async def test_fields_of_one_surface(speaking: Speaking, caller: Caller) -> None:
    """OpenAI's are checked there, ours here; elsewhere they are unknown."""
    for fields in ({"stream_format": "wav"}, {"instructions": 5}, {"instructions": "x" * 4097}):
        reply = await say(caller, **fields)
        refuses(reply, 400, "invalid_value", param=next(iter(fields)))
    reply = await say(caller, OURS, webhook_url="ftp://a.test/")
    refuses(reply, 400, "invalid_value", param="webhook_url")
    reply = await say(caller, OURS, webhook_url="https://a.test/", input="b", stream_format="sse")
    assert reply.headers["x-minitoolai-ignored"] == "input, stream_format, webhook_url"


async def test_texts_that_are_too_long(speaking: Speaking, caller: Caller) -> None:
    """OpenAI's surface names ours, which takes more, as a job; a megabyte is too much there too."""
    reply = await say(caller, input="a" * 4097)
    refuses(reply, 400, "invalid_value", "/api/texttospeech/", "100,000", param="input")
    reply = await say(caller, OURS, text="a" * 100_001)
    refuses(reply, 400, "invalid_value", "100,000", param="text")
    assert (await say(caller, OURS, text="a" * 2**20)).status == 400
    assert (await say(caller, input="a" * 2**20)).status == 400
    await charged(speaking.gateway, caller, 0, records=0)
