"""From an order to a picture: the exact size, the seed, the guidance, the kinds of models, progress and its end."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from minitoolai.children.onnx_pictures import folder, networks, prompts
from minitoolai.children.onnx_pictures.boot import CPU_PROVIDER
from minitoolai.children.onnx_pictures.drawing import Drawing
from minitoolai.children.onnx_pictures.networks import Floats, NetworkFailed, Networks
from minitoolai.core.drawing_wire import Order
from minitoolai.core.samplers import PREDICTIONS, SCHEDULERS, prediction
from tests.support import tiny_diffusion
from tests.support.onnx_child import asked


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Drawing:
    """The tiny model."""
    return _drawing(tiny_diffusion.make(tmp_path_factory.mktemp("drawing")))


@pytest.mark.parametrize("size", [(256, 256), (256, 257), (257, 1343), (1343, 257), (511, 300)])
@pytest.mark.parametrize("native_size", [None, 64, 256, 300])
def test_the_size_is_exact(drawing: Drawing, size: tuple[int, int], native_size: int | None) -> None:
    """Whatever is drawn, the PNG has the pixels that were asked, in three channels, and nothing else in it."""
    image = _opened(drawing.draw(Order(asked(width=size[0], height=size[1]), native_size), _nothing))
    assert (image.format, image.mode, image.size, image.info) == ("PNG", "RGB", size, {})


def test_without_a_native_size_pixels_are_cut(drawing: Drawing) -> None:
    """A smaller picture of the same grid is the middle of the larger one."""
    whole, part = (_pixels(drawing, width=width, height=304) for width in (272, 257))
    assert np.array_equal(whole[:, 7 : 7 + 257], part)


def test_with_a_native_size_the_picture_is_enlarged(drawing: Drawing) -> None:
    """A large picture, made small again, is the small one but for its sharpest edges, and no other one."""
    small, other = (_pixels(drawing, seed=seed).astype(np.int16) for seed in (7, 8))
    large = _opened(drawing.draw(Order(asked(width=1024, height=1024), 256), _nothing))
    back = np.asarray(large.resize((256, 256), Image.Resampling.LANCZOS), np.int16)
    assert np.abs(back - small).mean() < 10
    assert np.abs(back - other).mean() > 50


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_picture_repeats(drawing: Drawing, scheduler: str) -> None:
    """The same order makes the same bytes by every scheduler, another seed others."""
    order = Order(asked(scheduler=scheduler, steps=3))
    first = drawing.draw(order, _nothing)
    assert drawing.draw(order, _nothing) == first
    assert drawing.draw(Order(asked(scheduler=scheduler, steps=3, seed=8)), _nothing) != first


def test_everything_asked_matters(drawing: Drawing) -> None:
    """Each field by itself changes the picture; the largest seed is a seed."""
    orders: list[dict[str, Any]] = [
        {}, {"prompt": "a blue star"}, {"negative_prompt": "round"}, {"cfg_scale": 7.0}, {"cfg_scale": 1.0}, {"steps": 3},
        {"scheduler": "Euler"}, {"seed": 2**32 - 1}, {"prompt": "x " * 100}, {"prompt": "x " * 100 + "y"},
    ]  # fmt: skip
    assert len({_pixels(drawing, **changes).tobytes() for changes in orders}) == len(orders)


def test_guidance_of_1_is_none(model: Path) -> None:
    """One picture a call of the UNet, the negative prompt is not read; otherwise it comes first, the prompt second."""
    seen: list[tuple[int, ...]] = []
    read = folder.read(model)
    found = networks.load(read, 1, [CPU_PROVIDER])

    def unet(sample: Floats, timestep: float, texts: Floats) -> Floats:
        seen.append((len(sample), *texts.shape[:2]))
        return found.unet(sample, timestep, texts)

    drawing = Drawing(read, prompts.load(read), replace(found, unet=unet))
    plain = _pixels(drawing, cfg_scale=1.0, steps=1)
    assert np.array_equal(_pixels(drawing, cfg_scale=1.0, steps=1, negative_prompt="x"), plain)
    assert set(seen) == {(1, 1, 77)}
    seen.clear()
    _pixels(drawing, steps=1, negative_prompt="x " * 200)
    assert set(seen) == {(2, 2, 3 * 77)}


def test_guidance_goes_from_the_negative_prompt_to_the_prompt(model: Path) -> None:
    """What the UNet says of the two is weighed by cfg_scale: twice the scale is twice as far."""
    drawn: dict[float, Floats] = {}
    read = folder.read(model)
    found = networks.load(read, 1, [CPU_PROVIDER])

    def points(scale: float) -> Floats:
        def decode(points: Floats) -> Floats:
            drawn[scale] = points
            return found.decode(points)

        order = Order(asked(cfg_scale=scale, steps=1, scheduler="Euler", negative_prompt="y"))
        Drawing(read, prompts.load(read), replace(found, decode=decode)).draw(order, _nothing)
        return drawn[scale]

    np.testing.assert_allclose(points(5.0) - points(3.0), 2 * (points(3.0) - points(2.0)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", PREDICTIONS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_what_a_perfect_model_sees_is_drawn(model: Path, kind: str, scheduler: str) -> None:
    """A model that knows the one picture there is, whatever kind of thing it says, leads every scheduler to it."""
    read = replace(folder.read(model), predict=prediction({"prediction_type": kind}))
    goal = np.random.default_rng(3).standard_normal((1, 4, 32, 32)).astype(np.float32)
    ends: list[Floats] = []

    def unet(sample: Floats, timestep: float, _texts: Floats) -> Floats:
        sigma = read.levels.sigma(timestep)
        alpha = 1 / np.sqrt(1 + sigma**2)
        noise = (sample / alpha - goal) / sigma
        said = {"epsilon": noise, "v_prediction": alpha * noise - alpha * sigma * goal, "sample": goal + 0 * sample}[kind]
        wanted: Floats = said.astype(np.float32)
        return wanted

    def decode(points: Floats) -> Floats:
        ends.append(points * read.scaling_factor)
        return np.zeros((1, 3, 256, 256), np.float32)

    known = Networks(lambda chunks: np.zeros((len(chunks), 77, 4), np.float32), unet, decode, CPU_PROVIDER, 1)
    Drawing(read, prompts.load(read), known).draw(Order(asked(scheduler=scheduler, steps=8)), _nothing)
    # DPM fast ends at the least noise there is, 0.029, not at none.
    np.testing.assert_allclose(ends[0], goal, atol=0.16 if scheduler == "DPM fast" else 2e-3)


def test_progress_is_told_after_each_call(drawing: Drawing) -> None:
    """From 0, evenly, the decoder being the last call; DPM++ SDE has two calls a step but for the last."""
    told: list[float] = []
    drawing.draw(Order(asked(steps=3)), told.append)
    assert told == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])


@pytest.mark.parametrize("after", range(5))
def test_a_picture_can_be_ended_between_calls(drawing: Drawing, after: int) -> None:
    """What the progress raises comes through, and nothing is called afterwards."""
    told: list[float] = []

    def progress(fraction: float) -> None:
        if len(told) == after:
            raise KeyboardInterrupt
        told.append(fraction)

    with pytest.raises(KeyboardInterrupt):
        drawing.draw(Order(asked()), progress)
    assert len(told) == after


def test_numbers_that_run_over_are_a_failure(model: Path) -> None:
    """No black picture is sold."""
    read = folder.read(model)
    found = networks.load(read, 1, [CPU_PROVIDER])
    broken = replace(found, unet=lambda sample, _timestep, _texts: sample * np.nan)
    with pytest.raises(NetworkFailed, match="32") as caught:
        Drawing(read, prompts.load(read), broken).draw(Order(asked()), _nothing)
    assert caught.value.code == "engine_failed"


def _drawing(model: Path) -> Drawing:
    read = folder.read(model)
    return Drawing(read, prompts.load(read), networks.load(read, 1, [CPU_PROVIDER]))


def _pixels(drawing: Drawing, **changes: Any) -> NDArray[Any]:
    return np.asarray(_opened(drawing.draw(Order(asked(**changes)), _nothing)))


def _opened(png: bytes) -> Image.Image:
    return Image.open(BytesIO(png))


def _nothing(_fraction: float) -> None:
    """Nobody watches."""
