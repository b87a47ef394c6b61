"""Takes orders by a Unix socket and has them drawn in threads, in the order they came, so many at a time.

Whoever sent an order and left is noticed before its turn and between two calls of a network: then it is dropped.
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable

from minitoolai.children import serving
from minitoolai.children.onnx_pictures.drawing import Progress
from minitoolai.children.onnx_pictures.networks import NetworkFailed
from minitoolai.children.serving import CallerLeft
from minitoolai.core.child_wire import BadOrder, frame
from minitoolai.core.drawing_wire import MAX_ORDER_BYTES, Kind, Order, progress, read_order

#: Returns the PNG of an order. Raises `NetworkFailed`, and what the progress raises.
Draw = Callable[[Order, Progress], bytes]


def serve(path: str, draw: Draw, parallel: int) -> serving.Server:
    """Listen at `path` and begin to draw. Raises `BootError`."""
    server = serving.Server(serving.listen(path), Drawings(draw).answer, parallel)
    server.start()
    return server


class Drawings:
    """Answers connections with pictures."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def answer(self, connection: socket.socket) -> None:
        """Draw the picture of one connection, and say what became of it to whoever still listens. Raises `CallerLeft`."""
        serving.send(connection, self._frame(connection))

    def _frame(self, connection: socket.socket) -> bytes:
        """Return the last frame of a connection. Raises `CallerLeft`."""

        def told(fraction: float) -> None:
            serving.check_there(connection)
            serving.send(connection, progress(fraction))

        try:
            order = read_order(serving.received(connection, MAX_ORDER_BYTES))
            return frame(Kind.PICTURE, self._draw(order, told))
        except BadOrder as error:
            _log(f"an order cannot be drawn: {error}")
            return frame(Kind.REFUSED, b"order_invalid")
        except NetworkFailed as error:
            _log(f"a picture failed ({error.code}): {error}")
            return frame(Kind.FAILED, error.code.encode())
        except CallerLeft:
            raise
        except Exception:  # noqa: BLE001 - what nobody thought of fails one picture; the next may be drawn
            _log(f"a picture failed:\n{traceback.format_exc()}")
            return frame(Kind.FAILED, b"engine_failed")


def _log(line: str) -> None:
    serving.log("minitoolai.children.onnx_pictures", line)
