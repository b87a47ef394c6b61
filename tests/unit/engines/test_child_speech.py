"""The engine of children that speak: what it asks, what comes back, and what their silence, words and death mean."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from minitoolai.core.catalog import SpeechModel
from minitoolai.core.child_wire import frame
from minitoolai.core.errors import (
    ApiError,
    EngineRefusedRequest,
    InvalidValue,
    NoEngine,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.speech import FORMATS, AudioFormat, SpeechRequest
from minitoolai.core.speech_wire import Kind, Refusal, SpeechOrder, refused, spoken, voices_frame
from minitoolai.engines.child_connection import RETRY_AFTER_S
from minitoolai.engines.child_speech import ChildSpeech
from minitoolai.services.speech_ports import SpeechEngine, SpeechReply
from tests.support.child_process import PATIENCE_S
from tests.support.llama_child import short_folder
from tests.support.speaking_child import VOICES, Room, Tones, heard, sound_s, speaking_room
from tests.support.told_child import Answer, saying, told_child

MODEL = SpeechModel("m", 1, engine="s")
REQUEST = SpeechRequest("One two. Three.")
#: So soon a wait ends that is to end by itself.
SOON_S = 0.05


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with short_folder() as path:
        yield path


@pytest.fixture
def room() -> Iterator[Room]:
    """A real server, in threads."""
    with speaking_room(Tones()) as made:
        yield made


def engine(folder: Path, *, between_bytes_s: float = PATIENCE_S) -> ChildSpeech:
    """An engine whose child listens in `folder`."""
    return ChildSpeech("s", str(folder / "s.sock"), parallel=2, total_s=99.0, between_bytes_s=between_bytes_s)


async def whole(reply: SpeechReply) -> bytes:
    """Read a reply to its end."""
    sound = b""
    while part := await reply.read():
        sound += part
    reply.close()
    return sound


@pytest.mark.parametrize("file_format", FORMATS)
async def test_a_real_server_speaks(room: Room, file_format: AudioFormat) -> None:
    """The bytes are one sound file; in the end all characters are spoken."""
    speaker: SpeechEngine = ChildSpeech("s", room.path, parallel=1, total_s=99.0)
    text = "Hello there. " * 20
    reply = await speaker.open(MODEL, SpeechRequest(text, format=file_format), urgent=False)
    assert reply.spoken == 0
    sound = heard(await whole(reply), file_format)
    assert sound.loud_s == pytest.approx(sound_s(text), abs=0.05)
    assert reply.spoken == len(text)
    assert reply.counted() is None
    assert await reply.read() == b""


async def test_a_refusal_of_a_real_server(room: Room) -> None:
    """It names the field of the request and what to send instead."""
    with pytest.raises(InvalidValue, match="there is no voice 'nobody'") as caught:
        await ChildSpeech("s", room.path, parallel=1, total_s=9.0).open(MODEL, SpeechRequest("Hello", voice="nobody"))
    assert caught.value.param == "voice"


async def test_the_order_is_what_was_asked(folder: Path) -> None:
    """With whether somebody waits for it."""
    async with told_child(folder, saying(frame(Kind.END))) as orders:
        for urgent in (True, False):
            assert await whole(await engine(folder).open(MODEL, REQUEST, urgent=urgent)) == b""
    assert orders == [SpeechOrder(REQUEST, urgent=True), SpeechOrder(REQUEST, urgent=False)]


async def test_it_opens_when_there_is_sound(folder: Path) -> None:
    """Not for a piece that makes none; and only what was read counts as spoken."""
    sound = asyncio.Event()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(spoken(2))
        await sound.wait()
        writer.write(frame(Kind.AUDIO, b"abc") + spoken(8) + frame(Kind.AUDIO, b"de"))
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(frame(Kind.AUDIO, b"f") + spoken(15) + frame(Kind.END) + frame(Kind.AUDIO, b"too late"))

    async with told_child(folder, answer), asyncio.timeout(PATIENCE_S):
        opening = asyncio.create_task(engine(folder).open(MODEL, REQUEST))
        await asyncio.sleep(SOON_S)
        assert not opening.done()
        sound.set()
        reply = await opening
        assert reply.spoken == 0
        assert await reply.read() == b"abcde"
        assert reply.spoken == 8
        assert await reply.read() == b"f"
        assert reply.spoken == 15
        assert await reply.read() == b""
        reply.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (saying(), UpstreamError),
        (saying(spoken(3)), UpstreamError),
        (saying(frame(Kind.AUDIO, b"abc")[:-1]), UpstreamError),
        (saying(b"HTTP/1.1 200 OK\r\n"), UpstreamError),
        (saying(frame(Kind.FAILED, b"out_of_memory")), UpstreamError),
        (saying(frame(Kind.FAILED, b"\xff" * 999)), UpstreamError),
        (saying(frame(Kind.FAILED, b"order_invalid")), EngineRefusedRequest),
        (saying(frame(Kind.REFUSED, b"{")), UpstreamError),
        (saying(voices_frame(VOICES)), UpstreamError),
        (saying(refused(Refusal("speed", "it is slow."))), InvalidValue),
    ],
)
async def test_what_goes_wrong_has_a_name(folder: Path, answer: Answer, error: type[ApiError]) -> None:
    """An end too soon, bytes that are no frame, a failure, a refusal; none of the child's words goes to the caller."""
    async with told_child(folder, answer):
        with pytest.raises(error) as caught:
            await engine(folder).open(MODEL, REQUEST)
    assert not any(word in caught.value.message for word in ("memory", "order_invalid", "HTTP", "\ufffd"))


@pytest.mark.parametrize(
    "last",
    [
        b"",
        frame(Kind.AUDIO, b"abc")[:-1],
        b"HTTP/1.1",
        frame(Kind.FAILED, b"engine_failed"),
        frame(Kind.FAILED, b"order_invalid"),
        refused(Refusal("voice", "it is secret.")),
        voices_frame(VOICES),
    ],
)
async def test_what_breaks_off_is_no_end(folder: Path, caplog: pytest.LogCaptureFixture, last: bytes) -> None:
    """All sound before it is read, and it is known how much was spoken; then it raises, again and again."""
    async with told_child(folder, saying(frame(Kind.AUDIO, b"abc") + spoken(8) + last)), asyncio.timeout(PATIENCE_S):
        try:
            reply = await engine(folder).open(MODEL, REQUEST)
        except UpstreamError:
            assert last == b"HTTP/1.1", "what is no frame takes what came with it along"
            return
        assert await reply.read() == b"abc"
        assert reply.spoken == 8
        for _ in range(2):
            with pytest.raises(UpstreamError):
                await reply.read()
        reply.close()
    assert "secret" not in caplog.text


async def test_a_count_that_is_none(folder: Path) -> None:
    """A child that says so is not to be trusted any further."""
    async with told_child(folder, saying(frame(Kind.AUDIO, b"abc") + frame(Kind.SPOKEN, b""))):
        reply = await engine(folder).open(MODEL, REQUEST)
        with pytest.raises(UpstreamError):
            await reply.read()
        reply.close()


@pytest.mark.parametrize("stale", [False, True])
async def test_no_child_listens(folder: Path, *, stale: bool) -> None:
    """Whether it never did or has died: the call may be repeated soon."""
    if stale:
        async with told_child(folder, saying()):
            pass
        (folder / "s.sock").touch()
    with pytest.raises(NoEngine) as caught:
        await engine(folder).open(MODEL, REQUEST)
    assert caught.value.retry_after_s == RETRY_AFTER_S
    assert not await engine(folder).is_there()


async def test_a_silent_child_is_not_waited_for(folder: Path) -> None:
    """A piece that makes no sound is no sound."""
    async with told_child(folder, saying(spoken(1), then_silent=True)):
        with pytest.raises(UpstreamTimeout):
            await engine(folder, between_bytes_s=SOON_S).open(MODEL, REQUEST)


@pytest.mark.parametrize("how", ["cancelled while it opens", "cancelled while it reads", "closed"])
async def test_what_ends_early_closes_the_connection(folder: Path, how: str) -> None:
    """The child sees the end of the connection at once, which is how it knows."""
    begun, left = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if how != "cancelled while it opens":
            writer.write(frame(Kind.AUDIO, b"abc"))
        begun.set()
        with suppress(ConnectionError):
            assert await reader.read() == b""
        left.set()

    async def call() -> None:
        reply = await engine(folder).open(MODEL, REQUEST)
        try:
            assert await reply.read() == b"abc"
            if how != "closed":
                await reply.read()
        finally:
            reply.close()

    async with told_child(folder, answer), asyncio.timeout(PATIENCE_S):
        calling = asyncio.create_task(call())
        await begun.wait()
        await asyncio.sleep(SOON_S)
        calling.cancel()
        with suppress(asyncio.CancelledError):
            await calling
        await left.wait()


async def test_a_text_is_tried(room: Room, folder: Path) -> None:
    """What the child refuses is refused, and nothing else: not that it is not there. What it begins is given up."""
    speaker = ChildSpeech("s", room.path, parallel=1, total_s=99.0)
    await speaker.prove(MODEL, SpeechRequest("Hello there. " * 500))
    with pytest.raises(InvalidValue, match="voice"):
        await speaker.prove(MODEL, SpeechRequest("Hello", voice="nobody"))
    await engine(folder).prove(MODEL, SpeechRequest("Hello"))
    assert heard(await whole(await speaker.open(MODEL, SpeechRequest("Hello."))), "mp3").loud_s > 0
