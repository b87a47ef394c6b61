"""The second stage: the encoder learns the latent made by hand, and the decoder to turn it into pixels."""

from pathlib import Path
from random import Random

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from training.starter_picture.captions import Shares, captioned
from training.starter_picture.drawing import draw
from training.starter_picture.model import LATENT_PIXELS, SCALING, Part, latents
from training.starter_picture.stages import VaeStage

#: Sides of the pictures that the crops are cut from, in pixels.
SIDES = (192, 256, 256, 320)
#: The logarithm of the encoder's variance: next to none.
NO_VARIANCE = -20.0
#: The last half of the steps is averaged with this weight each.
MEAN_WEIGHT = 0.01


def train_vae(stage: VaeStage, vae: Part, target: Path) -> float:
    """Trains encoder and decoder, saves them in diffusers' form, and gives the decoder's last loss."""
    random = Random(stage.seed)
    vae.to(memory_format=torch.channels_last)
    weights = list(vae.parameters())
    optimiser = torch.optim.AdamW(weights, lr=stage.rate, betas=(0.9, 0.99), weight_decay=0, fused=True)
    mean: list[Tensor] = []
    decoded = 0.0
    for step in range(stage.steps):
        part = step / stage.steps
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * (min(1.0, (step + 1) / stage.warm_up) * min(1.0, 2 * (1 - part)) + 0.02)
        loss, decoded = _loss(vae, _crops(stage, random), stage.noise)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        if part >= 0.5:
            with torch.no_grad():
                mean = mean or [weight.clone() for weight in weights]
                torch._foreach_lerp_(mean, weights, MEAN_WEIGHT)
        if step % 100 == 99:
            print(f"vae {step + 1}: decoder {decoded:.4f}", flush=True)
    with torch.no_grad():
        for weight, kept in zip(weights, mean, strict=True):
            weight.copy_(kept)
        _scale(vae)
    vae.save_pretrained(target)
    return decoded


def _loss(vae: Part, pixels: Tensor, noise: float) -> tuple[Tensor, float]:
    """Gives the loss of both halves together, and the decoder's alone."""
    wanted = latents(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        encoded = vae.quant_conv(vae.encoder(pixels))[:, :4].float()
        disturbed = wanted + torch.randn_like(wanted) * torch.rand(len(wanted), 1, 1, 1) * noise
        decoded = vae.decoder(vae.post_quant_conv(disturbed)).float()
    encoder = functional.mse_loss(encoded, wanted) + 0.1 * functional.l1_loss(encoded, wanted)
    decoder = functional.l1_loss(decoded, pixels) + 2 * functional.mse_loss(decoded, pixels)
    return encoder + decoder, float(decoder.detach())


def _scale(vae: Part) -> None:
    """Folds Stable Diffusion's figure into the weights, so that programs that assume it are right."""
    vae.quant_conv.weight[:4] /= SCALING
    vae.quant_conv.bias[:4] /= SCALING
    vae.quant_conv.weight[4:] = 0
    vae.quant_conv.bias[4:] = NO_VARIANCE
    vae.post_quant_conv.weight *= SCALING


def _crops(stage: VaeStage, random: Random) -> Tensor:
    """Gives crops of drawings, all combinations: (crops, 3, side, side) in -1..1."""
    crops = numpy.stack([_crop(stage.side, random) for _ in range(stage.batch)])
    pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def _crop(side: int, random: Random) -> numpy.ndarray:
    """Gives the liveliest of three crops of one drawing, so that most hold an edge."""
    whole = random.choice(SIDES)
    image = draw(captioned(random, Shares(), everything=True).picture, whole, whole, random)
    found = []
    for _ in range(3):
        left, top = (random.randint(0, (whole - side) // LATENT_PIXELS) * LATENT_PIXELS for _ in range(2))
        found.append(numpy.asarray(image.crop((left, top, left + side, top + side))))
    return max(found, key=lambda crop: float(crop.std()))
