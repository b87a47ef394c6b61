"""Trains the starter chat model on two CPU cores and writes its GGUF file; the schedule goes by steps, not by time.

Run from the repository's root: python -m training.starter_chat.train --folder build/starter_chat
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from training.starter_chat.export import write_gguf
from training.starter_chat.model import Model
from training.starter_chat.rows import RowMaker, learn_tokens
from training.starter_chat.shape import Shape


@dataclass(frozen=True)
class Schedule:
    """The figures of one run; the same figures on the same machine give nearly the same model."""

    seed: int = 0
    steps: int = 1900
    #: Tokens in one step; rows are as long as the lengths below say.
    tokens_per_step: int = 2560
    #: Row lengths in tokens, taken in turn: mostly short, now and then a long conversation.
    lengths: tuple[int, ...] = (160, 160, 160, 160, 160, 160, 160, 640)
    #: The highest learning rate, of both optimisers.
    rate: float = 3e-3
    #: Steps until the highest rate is reached.
    warm_up: int = 30
    #: The part of the steps after which the rate starts to fall, in a line down to nothing.
    level_part: float = 0.35
    vocabulary: int = 1536
    threads: int = 2

    def rate_at(self, step: int) -> float:
        """Gives the learning rate of a step."""
        left = (self.steps - step) / self.steps
        return self.rate * min(1.0, (step + 1) / self.warm_up) * min(1.0, left / (1 - self.level_part))


@dataclass(frozen=True)
class Batch:
    """Token rows, the flat places where loss is taken, and the tokens that should come there."""

    tokens: Tensor
    places: Tensor
    targets: Tensor


def batches(maker: RowMaker, schedule: Schedule) -> Iterator[Batch]:
    """Gives the batch of each step."""
    for step in range(schedule.steps):
        length = schedule.lengths[step % len(schedule.lengths)]
        rows = [maker.row(length) for _ in range(schedule.tokens_per_step // length)]
        tokens = torch.tensor([row.tokens for row in rows])
        learnt = torch.tensor([row.learnt for row in rows])[:, 1:].reshape(-1)
        places = learnt.nonzero()[:, 0]
        yield Batch(tokens[:, :-1], places, tokens[:, 1:].reshape(-1)[places])


def optimisers(model: Model, schedule: Schedule) -> list[torch.optim.Optimizer]:
    """Makes Muon for the matrices and AdamW for the embedding and the norms."""
    named = list(model.named_parameters())
    matrices = [weight for name, weight in named if weight.dim() == 2 and "embedding" not in name]
    others = [weight for name, weight in named if weight.dim() != 2 or "embedding" in name]
    return [
        torch.optim.Muon(matrices, lr=schedule.rate, weight_decay=0.02, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=schedule.rate, betas=(0.9, 0.97), weight_decay=0),
    ]


def train(model: Model, maker: RowMaker, schedule: Schedule) -> float:
    """Runs all steps and gives the mean loss of about the last thirty."""
    chosen = optimisers(model, schedule)
    began, mean = time.monotonic(), 0.0
    for step, batch in enumerate(batches(maker, schedule)):
        for optimiser in chosen:
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate_at(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(batch.tokens, batch.places)
        loss = functional.cross_entropy(logits.float(), batch.targets)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in chosen:
            optimiser.step()
            optimiser.zero_grad()
        mean = loss.item() if step == 0 else 0.97 * mean + 0.03 * loss.item()
        if step % 50 == 49:
            taken = time.monotonic() - began
            speed = (step + 1) * schedule.tokens_per_step / taken
            print(f"step {step + 1} {taken:.0f} s, loss {mean:.4f}, {speed:.0f} tokens/s", flush=True)
    return mean


def weights_of(model: Model) -> dict[str, numpy.ndarray]:
    """Gives the weights as arrays by their name in the model."""
    return {name: weight.detach().float().numpy() for name, weight in model.named_parameters()}


def main() -> None:
    """Learns the tokens, trains, and writes starter-chat.gguf and run.json into the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/starter_chat"))
    parser.add_argument("--steps", type=int, default=Schedule.steps, help="fewer for a trial")
    parser.add_argument("--seed", type=int, default=Schedule.seed)
    options = parser.parse_args()
    schedule = Schedule(seed=options.seed, steps=options.steps)
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(schedule.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(schedule.seed)
    began = time.monotonic()
    table = learn_tokens(schedule.seed, schedule.vocabulary)
    shape = Shape(table.size)
    model = Model(shape)
    count = sum(weight.numel() for weight in model.parameters())
    print(f"{count} parameters, {table.size} tokens", flush=True)
    loss = train(model, RowMaker(schedule.seed + 1, table), schedule)
    target = options.folder / "starter-chat.gguf"
    write_gguf(target, shape, table, weights_of(model))
    record = {
        "schedule": asdict(schedule),
        "shape": asdict(shape),
        "parameters": count,
        "loss": round(loss, 4),
        "seconds": round(time.monotonic() - began),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "bytes": target.stat().st_size,
    }
    (options.folder / "run.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
