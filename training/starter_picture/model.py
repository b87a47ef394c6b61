"""The four parts of the pipeline in diffusers' and transformers' own classes, very small; and the latent, made by hand."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.starter_picture.tokens import LONGEST, write_tokenizer
from training.starter_picture.words import KNOWN

#: A UNet or an autoencoder: diffusers has no types that a checker could see.
Part = Any
#: The length of a token's vector.
TEXT_WIDTH = 64
#: The channels of the UNet's three levels and of the decoder's four.
UNET_CHANNELS, VAE_CHANNELS = (32, 64, 128), (16, 24, 48, 48)
#: Stable Diffusion's figure between the decoder's latent and the UNet's: other programs assume it.
SCALING = 0.18215
#: Pixels of a latent's side; and the sides of a picture must be multiples of the second, for the UNet halves twice more.
LATENT_PIXELS, SIDE_STEP = 8, 32
#: The noise schedule of Stable Diffusion.
TIMESTEPS, FIRST_BETA, LAST_BETA = 1000, 0.00085, 0.012


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    """Writes the tokenizer's files into the folder and reads them."""
    write_tokenizer(folder, KNOWN)
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=LONGEST)


def token_ids(tokenizer: CLIPTokenizer, captions: list[str], length: int = LONGEST) -> Tensor:
    """Gives the ids of captions, each cut or filled to the length: int64 (captions, length)."""
    ids: Tensor = tokenizer(
        captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids
    return ids


def make_text(vocabulary: int) -> CLIPTextModel:
    """Makes the text encoder; plain matrix products are faster in training on a CPU than torch's fused attention."""
    settings = CLIPTextConfig(
        vocab_size=vocabulary,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_attention_heads=4,
        num_hidden_layers=2,
        max_position_embeddings=LONGEST,
        hidden_act="quick_gelu",
    )
    text = CLIPTextModel(settings)
    text.set_attn_implementation("eager")
    return text


def make_unet() -> Part:
    """Makes the UNet; attention, and so the text, only at its lowest level: 8 by 8 for 256 pixels."""
    lower = len(UNET_CHANNELS) - 1
    kind: Any = UNet2DConditionModel
    unet = kind(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        block_out_channels=UNET_CHANNELS,
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * lower + ("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * lower,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    unet.set_attn_processor(AttnProcessor())
    return unet


def make_vae() -> Part:
    """Makes the pair of encoder and decoder."""
    kind: Any = AutoencoderKL
    return kind(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=VAE_CHANNELS,
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=256,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        scaling_factor=SCALING,
    )


def read_vae(folder: Path) -> Part:
    """Reads a trained pair of encoder and decoder."""
    kind: Any = AutoencoderKL
    return kind.from_pretrained(folder, low_cpu_mem_usage=False)


def latents(pixels: Tensor) -> Tensor:
    """Gives the latent of pictures: the mean colour of each block of 8 by 8 pixels, and how much the block varies.

    `pixels` is (pictures, 3, height, width) in -1..1, the result (pictures, 4, height/8, width/8) in the UNet's units.
    It is fixed by hand, so the UNet trains without waiting for the decoder, and colour is linear in it: an error of few
    steps shows as a soft edge.
    """
    mean = functional.avg_pool2d(pixels, LATENT_PIXELS)
    variance = (functional.avg_pool2d(pixels * pixels, LATENT_PIXELS) - mean * mean).clamp_min(0)
    return torch.cat([1.2 * mean, 2.5 * variance.mean(1, keepdim=True).sqrt() - 0.4], 1)


def signal_shares() -> Tensor:
    """Gives, for each timestep, the share of the picture's variance that noise has left: the schedule's product."""
    betas = torch.linspace(FIRST_BETA**0.5, LAST_BETA**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def scheduler_settings() -> dict[str, Any]:
    """Gives the scheduler's file: what the UNet predicts, and which timesteps few steps should take."""
    return {
        "_class_name": "EulerDiscreteScheduler",
        "beta_end": LAST_BETA,
        "beta_schedule": "scaled_linear",
        "beta_start": FIRST_BETA,
        "num_train_timesteps": TIMESTEPS,
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": False,
        "steps_offset": 1,
        "timestep_spacing": "trailing",
    }
