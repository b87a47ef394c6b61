"""Writes trained weights as a Stable Diffusion folder in ONNX, laid out as optimum does, and checks it against torch.

Run from the repository's root: python -m training.starter_picture.export WEIGHTS VAE TARGET
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import CLIPTextModel

from training.starter_picture.model import (
    TEXT_WIDTH,
    Part,
    make_text,
    make_unet,
    read_vae,
    scheduler_settings,
)
from training.starter_picture.onnx_file import Axes, difference, write_onnx
from training.starter_picture.tokens import LONGEST, write_tokenizer
from training.starter_picture.words import KNOWN

#: The most the folder may hold, in bytes.
LARGEST = 25_000_000
#: The parts, and in which library a program finds their classes.
PARTS = {
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "safety_checker": [None, None],
}


class TextPart(nn.Module):
    """The text encoder with one output."""

    def __init__(self, text: CLIPTextModel) -> None:
        """Takes the encoder."""
        super().__init__()
        self.text = text

    def forward(self, input_ids: Tensor) -> Tensor:
        """Gives each token's vector: (texts, tokens, width)."""
        vectors: Tensor = self.text(input_ids=input_ids).last_hidden_state
        return vectors


class UnetPart(nn.Module):
    """The UNet with one output."""

    def __init__(self, unet: Part) -> None:
        """Takes the UNet."""
        super().__init__()
        self.unet = unet

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        """Gives what the UNet predicts, in the shape of the sample."""
        predicted: Tensor = self.unet(sample, timestep, encoder_hidden_states, return_dict=False)[0]
        return predicted


class DecoderPart(nn.Module):
    """The decoder alone."""

    def __init__(self, vae: Part) -> None:
        """Takes the pair of encoder and decoder."""
        super().__init__()
        self.vae = vae

    def forward(self, latent_sample: Tensor) -> Tensor:
        """Gives pixels in -1..1: (pictures, 3, 8 times the height, 8 times the width)."""
        pixels: Tensor = self.vae.decode(latent_sample, return_dict=False)[0]
        return pixels


def write_folder(target: Path, text: CLIPTextModel, unet: Part, vae: Part) -> int:
    """Writes the whole folder, an older one is replaced, and gives its size in bytes; raises ValueError if it is wrong."""
    shutil.rmtree(target, ignore_errors=True)
    for part in (text, unet, vae):
        # Rounded first, so that torch computes with exactly the numbers that the files hold.
        part.half().float().eval()
    write_tokenizer(target / "tokenizer", KNOWN)
    _write(
        target / "model_index.json", {"_class_name": "StableDiffusionPipeline", "requires_safety_checker": False, **PARTS}
    )
    _write(target / "scheduler" / "scheduler_config.json", scheduler_settings())
    _write(target / "text_encoder" / "config.json", {**text.config.to_diff_dict(), "architectures": ["CLIPTextModel"]})
    _write(target / "unet" / "config.json", dict(unet.config))
    _write(target / "vae_decoder" / "config.json", dict(vae.config))
    _text(target / "text_encoder" / "model.onnx", TextPart(text), text.config.vocab_size)
    _unet(target / "unet" / "model.onnx", UnetPart(unet))
    _decoder(target / "vae_decoder" / "model.onnx", DecoderPart(vae))
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    if size > LARGEST:
        raise ValueError(f"{target} has {size} bytes, more than {LARGEST}")
    return size


def _text(file: Path, module: nn.Module, vocabulary: int) -> None:
    def example(texts: int, tokens: int) -> dict[str, Tensor]:
        return {"input_ids": torch.randint(0, vocabulary, (texts, tokens))}

    axes: dict[str, Axes] = {"input_ids": {0: Dim("batch_size"), 1: Dim("sequence_length", min=2, max=LONGEST)}}
    write_onnx(file, module, example(2, LONGEST), axes, "last_hidden_state")
    _compare(file, module, [example(1, LONGEST), example(3, 12)])


def _unet(file: Path, module: nn.Module) -> None:
    def example(pictures: int, height: int, width: int, tokens: int, timestep: float) -> dict[str, Tensor]:
        return {
            "sample": torch.randn(pictures, 4, height, width),
            "timestep": torch.tensor(timestep),
            "encoder_hidden_states": torch.randn(pictures, tokens, TEXT_WIDTH),
        }

    pictures = Dim("batch_size")
    axes: dict[str, Axes] = {
        "sample": {0: pictures, 2: 4 * Dim("height", min=2), 3: 4 * Dim("width", min=2)},
        "encoder_hidden_states": {0: pictures, 1: Dim("sequence_length", min=2)},
    }
    write_onnx(file, module, example(2, 32, 40, LONGEST, 500.0), axes, "out_sample")
    cases = [example(1, 32, 32, 77, 999.0), example(2, 20, 104, 154, 311.7), example(3, 56, 20, 12, 0.0)]
    _compare(file, module, cases)


def _decoder(file: Path, module: nn.Module) -> None:
    def example(pictures: int, height: int, width: int) -> dict[str, Tensor]:
        return {"latent_sample": torch.randn(pictures, 4, height, width)}

    axes: dict[str, Axes] = {"latent_sample": {0: Dim("batch_size"), 2: Dim("height", min=2), 3: Dim("width", min=2)}}
    write_onnx(file, module, example(2, 32, 40), axes, "sample")
    _compare(file, module, [example(1, 32, 32), example(2, 20, 104)])


def _compare(file: Path, module: nn.Module, cases: list[dict[str, Tensor]]) -> None:
    found = max(difference(file, module, case) for case in cases)
    print(f"{file.parent.name}: {file.stat().st_size} bytes, at most {found:.1e} from torch", flush=True)


def _write(file: Path, content: dict[str, Any]) -> None:
    """Writes a settings file without what only says who made it."""
    ours = ("_diffusers_version", "_name_or_path", "transformers_version")
    kept = {name: value for name, value in content.items() if name not in ours}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    """Reads the weights of a stage and of the decoder, and writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="the file of a UNet stage")
    parser.add_argument("vae", type=Path, help="the folder of the encoder and decoder")
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    weights = torch.load(options.weights, weights_only=True)
    text, unet = make_text(write_tokenizer(options.target / "tokenizer", KNOWN)), make_unet()
    text.load_state_dict(weights["text"])
    unet.load_state_dict(weights["unet"])
    vae = read_vae(options.vae)
    print(f"{write_folder(options.target, text, unet, vae)} bytes in all")


if __name__ == "__main__":
    main()
