"""Jobs of speech, in a worker: a long text is spoken into a file of the worker's own; memory never holds all of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from minitoolai.core.catalog import Catalog, SpeechModel
from minitoolai.core.errors import InvalidValue, UpstreamError, UpstreamTimeout
from minitoolai.core.speech import MEDIA_TYPES, SpeechRequest
from minitoolai.core.speech_header import HEAD_BYTES, begins_as, wav_sizes
from minitoolai.services.job_ports import Draft, Drafts
from minitoolai.services.job_run import InHand, Product, Unreadable, by_first
from minitoolai.services.routing import Path, Router
from minitoolai.services.speech_ports import SpeechEngine, SpeechReply

#: Where speech is kept, by day.
FOLDER = "speech"
#: Bytes that are gathered before they are written.
PIECE_BYTES = 256 * 1024
#: Bytes of one job's sound at most: 6 hours of raw samples, 18 of mp3; the longest text takes 2 hours at the usual speed.
MAX_SOUND_BYTES = 1024**3

log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder(SpeechRequest).decode


class SpeechMaker:
    """Has long texts spoken (`services.job_run.Maker`)."""

    def __init__(self, catalog: Catalog, router: Router[SpeechModel, SpeechEngine], drafts: Drafts) -> None:
        """`router` has this worker's engines."""
        self._catalog = catalog
        self._router = router
        self._drafts = drafts

    async def make(self, hand: InHand) -> Product:
        """See `services.job_run.Maker`."""
        try:
            request = _decode(hand.job.request)
        except msgspec.DecodeError as error:
            raise Unreadable from error
        model = self._catalog.speech_model(hand.job.model)
        engine, draft = await by_first(
            self._router, model, hand.job.id, lambda path: self._spoken(path, request, hand.advanced)
        )
        return Product(
            engine,
            FOLDER,
            request.format,
            MEDIA_TYPES[request.format],
            draft.path,
            draft.size_bytes,
            {},
            draft.let_go,
        )

    async def _spoken(
        self, path: Path[SpeechModel, SpeechEngine], request: SpeechRequest, progress: Callable[[float], None]
    ) -> Draft:
        """Return the sound that an engine gives, whole and of the asked format. Raises `ApiError`."""
        draft = self._drafts.new()
        try:
            async with asyncio.timeout(path.engine.total_s):
                reply = await path.engine.open(path.model, request, urgent=False)
                try:
                    await _taken(path, reply, request, draft, progress)
                finally:
                    reply.close()
        except TimeoutError as error:
            draft.let_go()
            raise UpstreamTimeout(model=path.model.id) from error
        except BaseException:
            draft.let_go()
            raise
        return draft


async def _taken(
    path: Path[SpeechModel, SpeechEngine],
    reply: SpeechReply,
    request: SpeechRequest,
    draft: Draft,
    progress: Callable[[float], None],
) -> None:
    """Write a sound to its end. Raises `ApiError`, `TimeoutError`."""
    waiting = bytearray()
    head = b""
    while True:
        async with asyncio.timeout(path.engine.between_bytes_s):
            data = await reply.read()
        waiting += data
        if len(waiting) >= PIECE_BYTES or not data:
            if draft.size_bytes == 0:
                head = bytes(waiting[:PIECE_BYTES])
                _check(path, request, head)
            if draft.size_bytes + len(waiting) > MAX_SOUND_BYTES:
                why = f"its sound is larger than {MAX_SOUND_BYTES // 1024**3} GiB. Send it in parts, or ask for mp3."
                raise InvalidValue(param="text", why=why)
            await draft.write(bytes(waiting))
            waiting.clear()
        if not data:
            break
        if reply.spoken is not None:
            progress(reply.spoken / len(request.text))
    if request.format == "wav":
        for place, size in wav_sizes(head, draft.size_bytes):
            await draft.write(size, place)


def _check(path: Path[SpeechModel, SpeechEngine], request: SpeechRequest, head: bytes) -> None:
    """Raise `UpstreamError` where a sound begins as none of the asked format does."""
    if not begins_as(request.format, head[:HEAD_BYTES]):
        log.error("engine %s gave what is no sound in %s", path.engine.name, request.format)
        raise UpstreamError(model=path.model.id)
