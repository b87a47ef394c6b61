"""Draws the held-out prompts through the product's own drawing code, reads the pictures back, and counts the right ones.

Run from the repository's root, in the product's environment: python -m training.starter_picture.evaluate FOLDER
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

from minitoolai.children.onnx_pictures import folder as folders
from minitoolai.children.onnx_pictures import networks, prompts
from minitoolai.children.onnx_pictures.boot import CPU_PROVIDER
from minitoolai.children.onnx_pictures.drawing import Drawing
from minitoolai.core.drawing_wire import Order
from minitoolai.core.pictures import DEFAULT_CFG_SCALE, DEFAULT_SCHEDULER, DEFAULT_STEPS, PictureRequest
from training.starter_picture import questions
from training.starter_picture.questions import Question
from training.starter_picture.reading import read

#: What the model is trained for: pixels of a square picture's side.
NATIVE_SIZE = 256
#: The size of training, the default of the API, and the oddest one upright and lying.
SIZES = ((256, 256), (1024, 1024), (768, 512), (257, 1343), (1343, 257))
#: Pixels of a picture's side in a contact sheet, and pictures in a row.
SHEET_SIDE, SHEET_ROW = 128, 10


@dataclass(frozen=True)
class Way:
    """How pictures are drawn."""

    scheduler: str = DEFAULT_SCHEDULER
    steps: int = DEFAULT_STEPS
    cfg_scale: float = DEFAULT_CFG_SCALE


@dataclass(frozen=True)
class Drawn:
    """A picture with its prompt, and whether it is right; None where nothing reads it."""

    image: Image.Image
    prompt: str
    right: bool | None


class Drawer:
    """Draws with one ONNX folder as the child does, inside this process."""

    def __init__(self, folder: Path, way: Way, threads: int = 1) -> None:
        """Loads the folder; raises `BootError` if it is wrong."""
        model = folders.read(folder)
        loaded = networks.load(model, threads, (CPU_PROVIDER,))
        self._drawing = Drawing(model, prompts.load(model), loaded)
        self._way = way

    def draw(self, prompt: str, width: int, height: int, seed: int) -> Image.Image:
        """Gives the picture of a prompt, of exactly this size in pixels."""
        way = self._way
        asked = PictureRequest(prompt, "", way.scheduler, way.steps, way.cfg_scale, width, height, seed)
        return Image.open(BytesIO(self._drawing.draw(Order(asked, NATIVE_SIZE), lambda done: None)))

    def answer(self, asked: Sequence[Question], width: int, height: int) -> list[Drawn]:
        """Draws each question with its number as seed, and reads it."""
        drawn = []
        for seed, question in enumerate(asked):
            image = self.draw(question.prompt, width, height, seed)
            drawn.append(Drawn(image, question.prompt, question.right(image)))
        return drawn


def count(name: str, asked: Sequence[Question], drawn: Sequence[Drawn], taken_s: float) -> None:
    """Prints how many pictures are right, in all and by the questions' parts."""
    all_of = Counter(question.part for question in asked)
    right = Counter(question.part for question, picture in zip(asked, drawn, strict=True) if picture.right)
    parts = ", ".join(f"{part} {right[part]}/{all_of[part]}" for part in sorted(all_of))
    each = taken_s / len(asked)
    print(f"{name}: {right.total()}/{len(asked)} ({parts}); {each:.2f} s a picture", flush=True)


def grown(drawer: Drawer, asked: Sequence[tuple[str, str, str]], width: int, height: int) -> int:
    """Counts the things that are drawn small, plain and large in this order of their areas."""
    right = 0
    for seed, three in enumerate(asked):
        small, plain, large = (read(drawer.draw(prompt, width, height, seed)).area for prompt in three)
        right += small < plain < large
    return right


def sheet(drawn: Sequence[Drawn], target: Path) -> None:
    """Writes a contact sheet; what is wrong is written in red."""
    rows = -(-len(drawn) // SHEET_ROW)
    whole = Image.new("RGB", (SHEET_ROW * SHEET_SIDE, rows * (SHEET_SIDE + 12)), "white")
    canvas = ImageDraw.Draw(whole)
    for number, picture in enumerate(drawn):
        small = picture.image.copy()
        small.thumbnail((SHEET_SIDE - 2, SHEET_SIDE - 2))
        left, top = number % SHEET_ROW * SHEET_SIDE, number // SHEET_ROW * (SHEET_SIDE + 12)
        whole.paste(small, (left, top))
        ink = "red" if picture.right is False else "black"
        canvas.text((left, top + SHEET_SIDE - 1), picture.prompt[: SHEET_SIDE // 6], fill=ink)
    whole.save(target)


def report(drawer: Drawer, number: int, sheets: Path | None) -> None:
    """Prints all counts, each of at most `number` pictures; with `sheets`, contact sheets are written there."""

    def asked(name: str, chosen: Callable[[int], list[Question]], width: int, height: int) -> None:
        listed = chosen(number)
        began = time.monotonic()
        drawn = drawer.answer(listed, width, height)
        count(f"{name} at {width}x{height}", listed, drawn, time.monotonic() - began)
        if sheets:
            sheet(drawn, sheets / f"{name}-{width}x{height}.png")

    for width, height in SIZES:
        asked("never drawn", questions.singles, width, height)
    asked("places", questions.places, 256, 256)
    asked("pairs", questions.pairs, 256, 256)
    asked("scenes", lambda _: questions.scenes(), 256, 256)
    asked("scenes", lambda _: questions.scenes(), 1024, 1024)
    three = questions.sizes(min(number, 24))
    print(f"small, plain, large in order: {grown(drawer, three, 256, 256)}/{len(three)}", flush=True)
    if sheets:
        odd = [Drawn(drawer.draw(prompt, 256, 256, 0), prompt, None) for prompt in questions.ODD_PROMPTS]
        sheet(odd, sheets / "odd.png")


def main() -> None:
    """Reads the command line and reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=100, help="pictures of each count, at most")
    parser.add_argument("--scheduler", default=Way.scheduler)
    parser.add_argument("--steps", type=int, default=Way.steps)
    parser.add_argument("--cfg-scale", type=float, default=Way.cfg_scale)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sheets", type=Path, help="a folder for contact sheets")
    options = parser.parse_args()
    if options.sheets:
        options.sheets.mkdir(parents=True, exist_ok=True)
    way = Way(options.scheduler, options.steps, options.cfg_scale)
    report(Drawer(options.folder, way, options.threads), options.number, options.sheets)


if __name__ == "__main__":
    main()
