"""Pictures drawn by a child (`children/onnx_pictures`) behind its Unix socket: a connection is a picture.

Closing the connection cancels the picture, so whatever ends `draw` early closes it at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing

from minitoolai.core.catalog import PictureModel
from minitoolai.core.child_wire import BadFrame, Frames
from minitoolai.core.drawing_wire import MAX_FRAME_BYTES, Kind, Order, fraction_of
from minitoolai.core.errors import EngineRefusedRequest, InvalidValue, UpstreamError, UpstreamTimeout
from minitoolai.core.pictures import MAX_SIDE, MIN_SIDE, PictureRequest
from minitoolai.core.samplers import SCHEDULERS
from minitoolai.engines.child_connection import ChildConnection, is_there

#: A frame comes after each call of the UNet: seconds for a small picture, minutes for a large one on few cores.
BETWEEN_BYTES_S = 300.0

log = logging.getLogger(__name__)


class OnnxPictures:
    """One child (`services.picture_ports.PictureEngine`)."""

    def __init__(
        self, name: str, socket: str, *, parallel: int, total_s: float, between_bytes_s: float = BETWEEN_BYTES_S
    ) -> None:
        self.name = name
        self.parallel = parallel
        self.total_s = total_s
        self.between_bytes_s = between_bytes_s
        #: Path of the child's Unix socket.
        self._socket = socket

    def check(self, model: PictureModel, request: PictureRequest) -> None:
        """Raise `InvalidValue` for what is never drawn."""
        if request.scheduler not in SCHEDULERS:
            raise InvalidValue(param="scheduler", why=f"choose one of {', '.join(SCHEDULERS)}.")
        for param, side in (("width", request.width), ("height", request.height)):
            if not MIN_SIDE <= side <= MAX_SIDE:
                raise InvalidValue(param=param, why=f"choose from {MIN_SIDE} to {MAX_SIDE} pixels.")

    async def is_there(self) -> bool:
        """Whether the child has loaded its model and takes pictures."""
        return await is_there(self._socket)

    async def draw(self, model: PictureModel, request: PictureRequest, progress: Callable[[float], None]) -> bytes:
        """Return the picture; see `picture_ports.PictureEngine.draw`. Raises `NoEngine` while the child loads its model or
        is being restarted."""
        self.check(model, request)
        try:
            async with asyncio.timeout(self.total_s):
                frames = Frames(Kind, MAX_FRAME_BYTES)
                connection = await ChildConnection.open(self._socket, model, frames, Order(request, model.native_size))
                with closing(connection):
                    return await self._picture(model, connection, progress)
        except TimeoutError as error:
            log.warning("engine %s did not answer in time", self.name)
            raise UpstreamTimeout(model=model.id) from error
        except (OSError, BadFrame) as error:
            log.warning("engine %s broke off: %s", self.name, type(error).__name__)
            raise UpstreamError(model=model.id) from error

    async def _picture(
        self, model: PictureModel, connection: ChildConnection[Kind], progress: Callable[[float], None]
    ) -> bytes:
        """Read frames until the last. Raises as `draw`, but `TimeoutError`, `OSError` and `BadFrame` as they are."""
        while True:
            async with asyncio.timeout(self.between_bytes_s):
                frames = await connection.read()
            for kind, content in frames:
                match kind:
                    case Kind.PROGRESS:
                        progress(fraction_of(content))
                    case Kind.PICTURE:
                        return content
                    case Kind.REFUSED:
                        log.warning("engine %s refuses an order", self.name)
                        raise EngineRefusedRequest(model=model.id, where="")
                    case Kind.FAILED:
                        log.error("engine %s failed to draw: %s", self.name, content.decode("ascii", "replace")[:60])
                        raise UpstreamError(model=model.id)
