"""The engine of the child that draws: what it asks, and what its silence, words and death mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from minitoolai.core.catalog import PictureModel
from minitoolai.core.child_wire import LENGTH, frame
from minitoolai.core.drawing_wire import Kind, Order, progress, read_order
from minitoolai.core.errors import (
    ApiError,
    EngineRefusedRequest,
    InvalidValue,
    NoEngine,
    ServiceUnavailable,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.samplers import SCHEDULERS
from minitoolai.engines.child_connection import RETRY_AFTER_S
from minitoolai.engines.onnx_pictures import OnnxPictures
from minitoolai.services.picture_ports import PictureEngine
from tests.support import tiny_diffusion
from tests.support.llama_child import short_folder
from tests.support.onnx_child import PATIENCE_S, asked, drawing_child

MODEL = PictureModel("m", 1, engine="d", native_size=256)
#: So soon a wait ends that is to end by itself.
SOON_S = 0.05

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with short_folder() as path:
        yield path


def engine(folder: Path, *, total_s: float = PATIENCE_S, between_bytes_s: float = PATIENCE_S) -> OnnxPictures:
    """An engine whose child listens in `folder`."""
    return OnnxPictures("d", str(folder / "d.sock"), parallel=2, total_s=total_s, between_bytes_s=between_bytes_s)


@asynccontextmanager
async def child(folder: Path, answer: Answer) -> AsyncIterator[list[Order]]:
    """A child that reads an order and then does as it is told; the orders that came."""
    orders: list[Order] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            orders.append(read_order(await reader.readexactly(length)))
            await answer(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_unix_server(serve, str(folder / "d.sock")):
        yield orders


def saying(*frames: bytes, then_silent: bool = False) -> Answer:
    """An answer of these bytes, each by itself; then the end, or nothing until the engine has gone."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for each in frames:
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(0)
        if then_silent:
            with suppress(ConnectionError):
                await reader.read()

    return answer


def _nothing(_fraction: float) -> None:
    """Nobody watches."""


async def test_a_picture_comes(folder: Path) -> None:
    """The order carries the model's native size; progress is handed on; the bytes come back as they are."""
    picture = bytes(range(256)) * 2000
    sent = frame(Kind.PICTURE, picture)
    told: list[float] = []
    async with child(folder, saying(progress(0.0), progress(0.5) + sent[:9], sent[9:])) as orders:
        drawer: PictureEngine = engine(folder)
        assert await drawer.draw(MODEL, asked(seed=9), told.append) == picture
        assert await drawer.draw(replace(MODEL, native_size=None), asked(), _nothing) == picture
    assert told == [0.0, 0.5]
    assert orders == [Order(asked(seed=9), 256), Order(asked(), None)]
    assert (drawer.name, drawer.parallel) == ("d", 2)


@pytest.mark.parametrize("stale", [False, True])
async def test_no_child_listens(folder: Path, *, stale: bool) -> None:
    """Whether it never did or has died: the call may be repeated soon."""
    if stale:
        async with child(folder, saying()):
            pass
        (folder / "d.sock").touch()
    with pytest.raises(NoEngine) as caught:
        await engine(folder).draw(MODEL, asked(), _nothing)
    assert isinstance(caught.value, ServiceUnavailable)
    assert caught.value.retry_after_s == RETRY_AFTER_S


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (saying(), UpstreamError),
        (saying(progress(0.5)), UpstreamError),
        (saying(frame(Kind.PICTURE, b"png")[:-1]), UpstreamError),
        (saying(b"HTTP/1.1 200 OK\r\n"), UpstreamError),
        (saying(frame(Kind.PROGRESS, b"")), UpstreamError),
        (saying(frame(Kind.FAILED, b"out_of_memory")), UpstreamError),
        (saying(frame(Kind.FAILED, b"\xff" * 999)), UpstreamError),
        (saying(frame(Kind.REFUSED, b"order_invalid")), EngineRefusedRequest),
    ],
)
async def test_what_goes_wrong_has_a_name(folder: Path, answer: Answer, error: type[ApiError]) -> None:
    """An end too soon, bytes that are no frame, a failure, a refusal; none of the child's words goes to the caller."""
    async with child(folder, answer):
        with pytest.raises(error) as caught:
            await engine(folder).draw(MODEL, asked(), _nothing)
    assert caught.value.facts["model"] == "m"
    assert not any(word in caught.value.message for word in ("memory", "order_invalid", "HTTP", "\ufffd"))


async def test_a_silent_child_is_not_waited_for(folder: Path) -> None:
    """Neither without a frame for too long, nor with frames for too long in all."""
    async with child(folder, saying(progress(0.1), then_silent=True)):
        for impatient in (engine(folder, between_bytes_s=SOON_S), engine(folder, total_s=SOON_S)):
            with pytest.raises(UpstreamTimeout):
                await impatient.draw(MODEL, asked(), _nothing)


@pytest.mark.parametrize("how", ["cancelled", "failing progress"])
async def test_what_ends_early_closes_the_connection(folder: Path, how: str) -> None:
    """The child sees the end of the connection at once, which is how it knows."""
    begun, left = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(progress(0.1))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        left.set()

    def told(_fraction: float) -> None:
        begun.set()
        if how == "failing progress":
            raise ZeroDivisionError

    async with child(folder, answer), asyncio.timeout(PATIENCE_S):
        drawing = asyncio.create_task(engine(folder).draw(MODEL, asked(), told))
        await begun.wait()
        if how == "cancelled":
            drawing.cancel()
        with pytest.raises((asyncio.CancelledError, ZeroDivisionError)):
            await drawing
        await left.wait()


@pytest.mark.parametrize(("field", "value"), [("scheduler", "DDIM"), ("width", 255), ("height", 1345)])
async def test_what_is_never_drawn_is_refused(folder: Path, field: str, value: str | int) -> None:
    """The field is named and what it may be; nothing is asked of the child."""
    request = asked(**{field: value})
    with pytest.raises(InvalidValue, match="choose") as caught:
        engine(folder).check(MODEL, request)
    assert caught.value.param == field
    with pytest.raises(InvalidValue):
        await engine(folder).draw(MODEL, request, _nothing)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_is_taken(folder: Path, scheduler: str) -> None:
    """All 18, at the bounds of sizes."""
    engine(folder).check(MODEL, asked(scheduler=scheduler, width=256, height=1344))


async def test_the_real_child_draws(folder: Path) -> None:
    """From the engine to onnxruntime and back; killed in the middle of a picture, it is a failure that may pass."""
    with drawing_child(folder, tiny_diffusion.make(folder / "model", width=64)) as real:
        told: list[float] = []
        picture = await engine(folder).draw(MODEL, asked(width=257, height=1343), told.append)
        assert Image.open(BytesIO(picture)).size == (257, 1343)
        assert told[-1] == 1
        large = asked(width=1344, height=1344, steps=8)
        with pytest.raises(UpstreamError):
            await engine(folder).draw(replace(MODEL, native_size=None), large, lambda _: real.process.kill())
        real.process.wait(PATIENCE_S)
        with pytest.raises(NoEngine):
            await engine(folder).draw(MODEL, asked(), _nothing)
