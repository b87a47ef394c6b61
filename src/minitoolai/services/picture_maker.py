"""Jobs of pictures, in a worker: which engine draws, and whether what it gave is the picture that was asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from minitoolai.core.catalog import Catalog, PictureModel
from minitoolai.core.errors import UpstreamError, UpstreamTimeout
from minitoolai.core.picture_header import PictureHeader, read_header
from minitoolai.core.pictures import PictureRequest
from minitoolai.services.job_run import InHand, Product, Unreadable, by_first
from minitoolai.services.picture_ports import PictureEngine
from minitoolai.services.routing import Path, Router

#: Where pictures are kept, by day.
FOLDER = "pictures"

#: The last chunk of every PNG, empty, with its check sum (PNG, third edition, 11.2.5).
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"

log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder(PictureRequest).decode


class PictureMaker:
    """Has pictures drawn (`services.job_run.Maker`)."""

    def __init__(self, catalog: Catalog, router: Router[PictureModel, PictureEngine]) -> None:
        """`router` has this worker's engines."""
        self._catalog = catalog
        self._router = router

    async def make(self, hand: InHand) -> Product:
        """See `services.job_run.Maker`."""
        try:
            request = _decode(hand.job.request)
        except msgspec.DecodeError as error:
            raise Unreadable from error
        model = self._catalog.picture_model(hand.job.model)
        engine, picture = await by_first(self._router, model, hand.job.id, lambda path: _drawn(path, request, hand.advanced))
        return Product(engine, FOLDER, "png", "image/png", picture, len(picture), {"seed": request.seed})


async def _drawn(
    path: Path[PictureModel, PictureEngine], request: PictureRequest, progress: Callable[[float], None]
) -> bytes:
    """Return the picture that an engine draws, a PNG of the asked size. Raises `ApiError`."""
    try:
        async with asyncio.timeout(path.engine.total_s):
            picture = await path.engine.draw(path.model, request, progress)
    except TimeoutError as error:
        raise UpstreamTimeout(model=path.model.id) from error
    if read_header(picture) != PictureHeader("png", request.width, request.height) or not picture.endswith(_PNG_END):
        log.error("engine %s gave what is no PNG of %dx%d", path.engine.name, request.width, request.height)
        raise UpstreamError(model=path.model.id)
    return picture
