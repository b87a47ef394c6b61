"""One picture from its order to a PNG: noise, the scheduler's loop around the UNet, the decoder, the exact size.

All randomness is one generator of numbers (Philox) seeded with the order's seed: the same order gives the same bytes on
the same machine with the same versions, threads and provider. The networks are functions that are passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minitoolai.children.onnx_pictures.folder import Folder
from minitoolai.children.onnx_pictures.networks import Floats, NetworkFailed, Networks
from minitoolai.children.onnx_pictures.prompts import Prompts
from minitoolai.children.onnx_pictures.sizes import Plan, plan
from minitoolai.core.drawing_wire import Order
from minitoolai.core.pictures import PictureRequest
from minitoolai.core.samplers import input_scale, run, scheduler, start_scale

#: zlib's level: a picture of 1024 x 1024 takes 49 ms; at 6 it is 8 % smaller and takes 81, at 9 another 5 % and 510.
PNG_LEVEL = 4

#: Told how much is done, 0 to 1, between two calls of a network; what it raises ends the picture.
Progress = Callable[[float], None]


class Drawing:
    """One model, ready to draw; may be used by several threads."""

    def __init__(self, folder: Folder, prompts: Prompts, networks: Networks) -> None:
        self._folder = folder
        self._prompts = prompts
        self._networks = networks

    def draw(self, order: Order, progress: Progress) -> bytes:
        """Return the picture, a PNG of exactly the asked size. Raises `NetworkFailed`, and what `progress` raises."""
        asked = order.request
        sheet = plan(asked.width, asked.height, self._folder.grid, order.native_size)
        return png(self.pixels(asked, sheet.width, sheet.height, progress), sheet, asked.width, asked.height)

    def pixels(self, asked: PictureRequest, width: int, height: int, progress: Progress) -> NDArray[np.uint8]:
        """Return a picture of a size that is a multiple of the grid, [height, width, 3]. Raises as `draw`."""
        folder = self._folder
        points = self._points(asked, width // folder.scale, height // folder.scale, progress)
        if not np.isfinite(points).all():
            raise NetworkFailed("engine_failed", "the UNet's numbers ran over; a model of 16 bits may need one of 32")
        found = self._networks.decode(points * (1 / folder.scaling_factor) + folder.shift_factor)[0]
        progress(1.0)
        pixels: NDArray[np.uint8] = np.rint((np.clip(found, -1, 1) + 1) * 127.5).astype(np.uint8)
        return pixels.transpose(1, 2, 0)

    def _points(self, asked: PictureRequest, columns: int, rows: int, progress: Progress) -> Floats:
        """Return what the decoder makes a picture of, [1, channels, rows, columns]."""
        folder, unet = self._folder, self._networks.unet
        random = np.random.Generator(np.random.Philox(asked.seed))

        def noise() -> Floats:
            return random.standard_normal((1, folder.channels, rows, columns), np.float32)

        guided = asked.cfg_scale != 1
        texts = self._texts(asked, guided)

        def denoise(x: Floats, sigma: float) -> Floats:
            seen = x * input_scale(sigma)
            said = unet(np.concatenate((seen, seen)) if guided else seen, folder.levels.timestep(sigma), texts)
            if guided:
                # Ho and Salimans 2022, arXiv:2207.12598, eq. 6, with w + 1 as everybody counts it.
                said = said[:1] + (said[1:] - said[:1]) * asked.cfg_scale
            denoised: Floats = folder.predict(x, sigma, said)
            return denoised

        def told(done: int, total: int) -> None:
            progress(done / (total + 1))  # the decoder is the last call

        sigmas = scheduler(asked.scheduler).sigmas(folder.levels, asked.steps)
        return run(asked.scheduler, noise() * start_scale(sigmas[0]), sigmas, noise, denoise, told)

    def _texts(self, asked: PictureRequest, guided: bool) -> Floats:
        """Return what the texts mean, [2, tokens, width] with the negative prompt first; without guidance [1, …]."""
        if not guided:
            chunks, count = self._prompts.chunks(asked.prompt), 1
        else:
            negative, positive = self._prompts.pair(asked.negative_prompt, asked.prompt)
            chunks, count = negative + positive, 2
        meant = self._networks.encode(chunks)
        return meant.reshape(count, -1, meant.shape[-1])


def png(pixels: NDArray[np.uint8], sheet: Plan, width: int, height: int) -> bytes:
    """Return what `sheet` shows of `pixels`, [height, width, 3], as a PNG of exactly `width` by `height`, nothing else in
    it."""
    image = Image.fromarray(pixels)
    left, top, right, bottom = sheet.box
    if (right - left, bottom - top) == (width, height):
        x, y = int(left), int(top)  # half pixels are left out at both edges or at none
        image = image.crop((x, y, x + width, y + height))
    else:
        image = image.resize((width, height), Image.Resampling.LANCZOS, box=sheet.box)
    out = BytesIO()
    image.save(out, "PNG", compress_level=PNG_LEVEL)
    return out.getvalue()
