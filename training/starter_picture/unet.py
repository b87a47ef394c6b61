"""The stages that learn to draw: UNet and text encoder together, on latents of fresh drawings, in two processes."""

import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import numpy
import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn
from transformers import CLIPTextModel, CLIPTokenizer

from training.starter_picture.captions import captioned
from training.starter_picture.drawing import draw
from training.starter_picture.model import (
    TIMESTEPS,
    Part,
    latents,
    make_text,
    make_tokenizer,
    make_unet,
    signal_shares,
    token_ids,
)
from training.starter_picture.stages import UnetStage

#: Steps after which the weights are written, and again: to look at, and to go on from.
SAVE_STEPS = 400
#: The share of empty captions: what guidance compares with.
EMPTY_SHARE = 0.1
#: The share of examples at the last timestep, where every picture begins.
LAST_SHARE = 0.06
#: The largest weight of an example's signal against its noise (Hang et al. 2023, arXiv:2303.09556, "min-SNR").
SIGNAL_LIMIT = 5.0


@dataclass(frozen=True)
class Work:
    """What one process is given."""

    stage: UnetStage
    #: The weights before this stage, and where those after it go.
    start: Path
    target: Path
    processes: int


@dataclass(frozen=True)
class Example:
    """One batch: noised latents, their timesteps, what should be predicted, its weight, and the captions' tokens."""

    noised: Tensor
    timesteps: Tensor
    wanted: Tensor
    weight: Tensor
    ids: Tensor


def train_unet(work: Work) -> None:
    """Runs one stage in its processes; writes the last weights and their running mean into the target folder."""
    work.target.mkdir(parents=True, exist_ok=True)
    meeting = work.target / "meeting"
    meeting.unlink(missing_ok=True)
    spawn(_run, args=(work, meeting.absolute()), nprocs=work.processes)  # type: ignore[no-untyped-call]
    meeting.unlink(missing_ok=True)


def _run(rank: int, work: Work, meeting: Path) -> None:
    """Is one process: draws its part of every batch, and shares its gradients with the others."""
    stage = work.stage
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=work.processes, timeout=timedelta(minutes=10)
    )
    tokenizer = make_tokenizer(work.target / f"tokenizer{rank}")
    text, unet = make_text(len(tokenizer)), make_unet().to(memory_format=torch.channels_last)
    saved = torch.load(work.start, weights_only=True)
    text.load_state_dict(saved["text"])
    unet.load_state_dict(saved["unet"])
    weights = [*unet.parameters(), *text.parameters()]
    mean = [weight.detach().clone() for weight in weights]
    groups = [{"params": list(unet.parameters())}, {"params": list(text.parameters())}]
    optimiser = torch.optim.AdamW(groups, lr=stage.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    random, common, levels = Random(1000 * stage.seed + rank), Random(7 + stage.seed), signal_shares()
    torch.manual_seed(1000 * stage.seed + rank)
    began, seen, shown = time.monotonic(), 0, 0.0
    for step in range(stage.steps):
        optimiser.param_groups[0]["lr"] = stage.rate_at(step)
        optimiser.param_groups[1]["lr"] = stage.rate_at(step) * stage.text_rate
        # Every process takes the same size, or one would wait for the other.
        width, height, _ = common.choices(stage.sizes, [share for *_, share in stage.sizes])[0]
        count = -(-stage.pictures(width, height) // work.processes)
        loss = _loss(unet, text, _example(stage, (width, height), count, random, levels, tokenizer))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        _share_gradients(weights, work.processes)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(mean, weights, 1 - min(stage.memory, (step + 2) / (step + 21)))
        seen += count * work.processes
        shown = float(loss.detach()) if step == 0 else 0.98 * shown + 0.02 * float(loss.detach())
        if rank == 0 and step % 50 == 49:
            speed = seen / (time.monotonic() - began)
            print(f"{stage.name} {step + 1}: {seen} pictures, {speed:.0f}/s, loss {shown:.4f}", flush=True)
        if rank == 0 and (step % SAVE_STEPS == SAVE_STEPS - 1 or step == stage.steps - 1):
            _save(work.target, unet, text, mean)
    distributed.destroy_process_group()


def _example(
    stage: UnetStage, size: tuple[int, int], count: int, random: Random, levels: Tensor, tokenizer: CLIPTokenizer
) -> Example:
    """Draws a batch and puts noise on it."""
    made = [captioned(random, stage.shares) for _ in range(count)]
    drawn = numpy.stack([numpy.asarray(draw(each.picture, *size, random, fineness=1)) for each in made])
    clean = latents(torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1)
    captions = ["" if random.random() < EMPTY_SHARE else each.caption for each in made]
    uniform = torch.rand(count)
    # Half of the timesteps lean towards the noise: a picture of few steps is decided there.
    leaning = torch.where(torch.rand(count) < 0.5, uniform, uniform.sqrt()) * TIMESTEPS
    last = torch.rand(count) < LAST_SHARE
    timesteps = torch.where(last, float(TIMESTEPS - 1), leaning).long().clamp(0, TIMESTEPS - 1)
    share = levels[timesteps].view(-1, 1, 1, 1)
    noise = torch.randn_like(clean)
    ratio = share / (1 - share)
    return Example(
        noised=share.sqrt() * clean + (1 - share).sqrt() * noise,
        timesteps=timesteps,
        wanted=share.sqrt() * noise - (1 - share).sqrt() * clean,
        weight=ratio.clamp(1, SIGNAL_LIMIT) / (ratio + 1),
        ids=token_ids(tokenizer, captions),
    )


def _loss(unet: Part, text: CLIPTextModel, example: Example) -> Tensor:
    noised = example.noised.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        vectors = text(example.ids).last_hidden_state
        predicted = unet(noised, example.timesteps, vectors).sample.float()
    loss: Tensor = (example.weight * (predicted - example.wanted) ** 2).mean()
    return loss


def _share_gradients(weights: list[torch.nn.Parameter], processes: int) -> None:
    """Replaces every gradient by the mean of all processes', in one message."""
    if processes == 1:
        return
    found = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    flat = torch.cat([gradient.reshape(-1) for gradient in found])
    distributed.all_reduce(flat)
    flat /= processes
    begin = 0
    for weight in weights:
        gradient = flat[begin : begin + weight.numel()].view_as(weight)
        begin += weight.numel()
        weight.grad = gradient.contiguous(memory_format=torch.channels_last) if weight.dim() == 4 else gradient


def _save(folder: Path, unet: Part, text: CLIPTextModel, mean: list[Tensor]) -> None:
    """Writes the weights, `last.pt`, and their running mean, `mean.pt`; a file is never half there."""
    weights = [*unet.parameters(), *text.parameters()]
    last = [weight.detach().clone() for weight in weights]
    for name, chosen in (("mean.pt", mean), ("last.pt", last)):
        with torch.no_grad():
            for weight, kept in zip(weights, chosen, strict=True):
                weight.copy_(kept)
        torch.save({"unet": unet.state_dict(), "text": text.state_dict()}, folder / f"{name}.new")
        os.replace(folder / f"{name}.new", folder / name)
