"""Trains the starter picture model on two CPU cores and writes its ONNX folder; every stage goes by steps, not by time.

Run from the repository's root: python -m training.starter_picture.train --folder build/starter_picture
"""

import argparse
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import torch

from training.starter_picture.export import write_folder
from training.starter_picture.model import make_text, make_tokenizer, make_unet, make_vae
from training.starter_picture.stages import Recipe
from training.starter_picture.text import train_text
from training.starter_picture.unet import Work, train_unet
from training.starter_picture.vae import train_vae


def train(recipe: Recipe, folder: Path, processes: int) -> dict[str, float]:
    """Runs all stages, writes the ONNX folder `onnx` into the folder, and gives the seconds that each stage took."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    tokenizer = make_tokenizer(folder / "tokenizer")
    text, unet, vae = make_text(len(tokenizer)), make_unet(), make_vae()
    taken: dict[str, float] = {}
    began = time.monotonic()

    def note(stage: str) -> None:
        taken[stage] = round(time.monotonic() - began - sum(taken.values()), 1)

    right = train_text(recipe.text, tokenizer, text, folder / "text.pt")
    note("text")
    loss = train_vae(recipe.vae, vae, folder / "vae")
    note("vae")
    print(f"all captions' parts right of {right:.3f}, decoder {loss:.4f}", flush=True)
    start = folder / "start.pt"
    torch.save({"unet": unet.state_dict(), "text": text.state_dict()}, start)
    for stage in recipe.unet:
        train_unet(Work(stage, start, folder / stage.name, processes))
        start = folder / stage.name / "last.pt"
        note(stage.name)
    weights = torch.load(start.with_name("mean.pt"), weights_only=True)
    text.load_state_dict(weights["text"])
    unet.load_state_dict(weights["unet"])
    print(f"{write_folder(folder / 'onnx', text, unet, vae)} bytes in all", flush=True)
    note("export")
    return taken


def train_one(recipe: Recipe, name: str, start: Path, folder: Path, processes: int) -> None:
    """Runs one UNet stage from weights that are there; ValueError for a name that is no stage's."""
    stages = {stage.name: stage for stage in recipe.unet}
    if name not in stages:
        raise ValueError(f"{name} is no stage; they are {', '.join(stages)}")
    train_unet(Work(stages[name], start, folder / name, processes))


def main() -> None:
    """Runs the recipe or one stage of it, and writes what was done into run.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/starter_picture"))
    parser.add_argument("--part", type=float, default=1.0, help="the part of all steps that is run, for a trial")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each")
    parser.add_argument("--only", help="one UNet stage, from the weights of --start; nothing is exported")
    parser.add_argument("--start", type=Path, help="the file last.pt of the stage before")
    options = parser.parse_args()
    recipe = Recipe().shortened(options.part) if options.part < 1 else Recipe()
    if options.only:
        if not options.start:
            parser.error("--only needs --start, the weights to go on from")
        train_one(recipe, options.only, options.start, options.folder, options.processes)
        return
    torch.set_num_threads(options.processes)
    torch.set_flush_denormal(True)
    taken = train(recipe, options.folder, options.processes)
    record = {
        "recipe": asdict(recipe),
        "seconds": taken,
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "processes": options.processes,
    }
    (options.folder / "run.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main()
