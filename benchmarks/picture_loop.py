"""Where the time of a picture goes: drawn in this process by the starter model, with a clock around each network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

from minitoolai.children.onnx_pictures import folder, networks, prompts
from minitoolai.children.onnx_pictures.boot import CPU_PROVIDER
from minitoolai.children.onnx_pictures.drawing import Drawing
from minitoolai.core.drawing_wire import Order
from minitoolai.core.pictures import DEFAULT_CFG_SCALE, DEFAULT_SCHEDULER, DEFAULT_STEPS, PictureRequest
from minitoolai.runtime.catalogue import STARTER_NATIVE_SIZE, STARTER_PICTURE_MODEL

#: Sides of a picture, and the native size that the model is said to have: None draws every pixel.
SHEETS: tuple[tuple[int, int | None], ...] = ((1024, STARTER_NATIVE_SIZE), (512, None))
HEADER = (
    f"{'drawn here, median ms':24} {'texts':>7} {'UNet':>8} {'calls':>5} {'loop':>7} {'share':>6} {'decoder':>8} {'PNG':>6}"
)

_PROMPT = "a red star on a blue ground"
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Drawn:
    """Where the time of one picture went, in seconds."""

    encode_s: float
    unet_s: float
    unet_calls: int
    #: From the texts' end to the decoder's beginning, the UNet left out: scheduler, guidance, noise.
    loop_s: float
    decode_s: float
    #: Size and PNG.
    rest_s: float

    @property
    def loop_share(self) -> float:
        """Our loop's time over the bare UNet calls."""
        return self.loop_s / self.unet_s


class Clock:
    """Notes when each network began and ended."""

    def __init__(self) -> None:
        self.spans: dict[str, list[tuple[float, float]]] = {}

    def around(self, loaded: networks.Networks) -> networks.Networks:
        """Return the networks with a clock around each."""
        return replace(
            loaded,
            encode=self._timed("encode", loaded.encode),
            unet=self._timed("unet", loaded.unet),
            decode=self._timed("decode", loaded.decode),
        )

    def drawn(self, began: float, ended: float) -> Drawn:
        """Return where the time of a picture went that was drawn in between, and forget it."""
        spans, self.spans = self.spans, {}
        took = {part: sum(end - begin for begin, end in each) for part, each in spans.items()}
        loop_s = spans["decode"][0][0] - spans["encode"][-1][1] - took["unet"]
        rest_s = ended - began - took["encode"] - took["unet"] - took["decode"] - loop_s
        return Drawn(took["encode"], took["unet"], len(spans["unet"]), loop_s, took["decode"], rest_s)

    def _timed(self, part: str, run: Callable[_P, _T]) -> Callable[_P, _T]:
        def timed(*arguments: _P.args, **options: _P.kwargs) -> _T:
            began = time.perf_counter()
            found = run(*arguments, **options)
            self.spans.setdefault(part, []).append((began, time.perf_counter()))
            return found

        return timed


def draw_here(side: int, native_size: int | None, pictures: int) -> list[Drawn]:
    """Draw pictures in this process; the first is left out."""
    model, clock = folder.read(STARTER_PICTURE_MODEL), Clock()
    drawing = Drawing(model, prompts.load(model), clock.around(networks.load(model, None, [CPU_PROVIDER])))
    clock.spans.clear()  # of the trial
    found = []
    for seed in range(pictures + 1):
        asked = PictureRequest(_PROMPT, "", DEFAULT_SCHEDULER, DEFAULT_STEPS, DEFAULT_CFG_SCALE, side, side, seed)
        began = time.perf_counter()
        drawing.draw(Order(asked, native_size), lambda _: None)
        found.append(clock.drawn(began, time.perf_counter()))
    return found[1:]


def row(side: int, native_size: int | None, found: Sequence[Drawn]) -> str:
    """Return one line of the table: medians."""

    def middle(of: Callable[[Drawn], float]) -> float:
        return statistics.median(of(each) for each in found)

    what = f"{side} x {side}" + ("" if native_size is None else f", native {native_size}")
    return (
        f"{what:24} {1000 * middle(lambda each: each.encode_s):7.1f} {1000 * middle(lambda each: each.unet_s):8.1f} "
        f"{found[0].unet_calls:5d} {1000 * middle(lambda each: each.loop_s):7.2f} "
        f"{100 * middle(lambda each: each.loop_share):5.2f}% {1000 * middle(lambda each: each.decode_s):8.1f} "
        f"{1000 * middle(lambda each: each.rest_s):6.1f}"
    )
