"""A model's folder as `optimum-cli export onnx` writes it: what its small files say, before anything heavy is loaded.

Sources: the folder format of diffusers (https://huggingface.co/docs/diffusers/using-diffusers/other-formats) and the
names that optimum gives the graphs (https://huggingface.co/docs/optimum-onnx/onnx/usage_guides/export_a_model).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minitoolai.children.report import BootError
from minitoolai.core.samplers import NoiseLevels, NoiseScheduleInvalid, Prediction, PredictionUnknown, prediction

#: The networks, each a folder with `model.onnx` and `config.json`.
TEXT_ENCODER, UNET, DECODER = "text_encoder", "unet", "vae_decoder"
GRAPHS = tuple(f"{part}/model.onnx" for part in (TEXT_ENCODER, UNET, DECODER))
VOCABULARY, MERGES = "tokenizer/vocab.json", "tokenizer/merges.txt"
_SCHEDULER = "scheduler/scheduler_config.json"
_TOKENIZER = "tokenizer/tokenizer_config.json"
#: Pictures of most models keep this scale in the decoder's space (Rombach et al. 2022, arXiv:2112.10752, appendix G).
SCALING_FACTOR = 0.18215
#: Tokens that CLIP's text encoder reads at once.
CONTEXT_TOKENS = 77
#: A text that marks where a prompt begins and ends, where the tokenizer's files name none.
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
#: Names of what only larger relatives have, and which those are.
_OTHERS = {"text_encoder_2": "SDXL", "text_encoder_3": "Stable Diffusion 3", "transformer": "a transformer (SD 3, FLUX)"}
_REMEDY = "Export it anew: optimum-cli export onnx --model NAME FOLDER."
#: Bytes of a small file at most; CLIP's vocabulary has 1 MB.
_MAX_JSON_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Folder:
    """What the small files say."""

    path: Path
    levels: NoiseLevels
    predict: Prediction
    #: Name of the prediction, for people.
    prediction_type: str
    #: Numbers of the decoder's space for each of its points.
    channels: int
    #: Pixels of a side for each point.
    scale: int
    #: Sides of what is drawn are multiples of so many pixels.
    grid: int
    #: What the decoder is given: points / scaling_factor + shift_factor.
    scaling_factor: float
    shift_factor: float
    #: Tokens of a chunk, the first and the last included.
    context_tokens: int
    #: Texts of the tokens around a prompt.
    begin: str
    end: str
    pad: str


def read(path: Path) -> Folder:
    """Return what the files of a folder say. Raises `BootError` (`model_missing`, `model_invalid`)."""
    if not path.is_dir():
        what = "is a file: name the folder it is in" if path.exists() else "does not exist: correct model_path"
        raise BootError("model_missing", f"The picture model's folder {path} {what}.")
    for name, kind in _OTHERS.items():
        if (path / name).exists():
            raise _invalid(name, f"belongs to {kind}", "Use a model of Stable Diffusion 1 or 2, which has one text encoder.")
    for name in (*GRAPHS, VOCABULARY, MERGES):
        if not (path / name).is_file():
            raise _invalid(name, "is missing", _REMEDY)
    unet, decoder = _json(path, f"{UNET}/config.json"), _json(path, f"{DECODER}/config.json")
    scheduler = _json(path, _SCHEDULER)
    tokenizer = _json(path, _TOKENIZER) if (path / _TOKENIZER).exists() else {}
    scale = 2 ** (_levels(decoder, DECODER) - 1)
    try:
        levels, predict = NoiseLevels.from_config(scheduler), prediction(scheduler)
    except (NoiseScheduleInvalid, PredictionUnknown) as error:
        raise BootError("model_invalid", f"{error.message} Correct {_SCHEDULER}, or export the model anew.") from error
    channels = _whole(decoder, f"{DECODER}/config.json", "latent_channels", 4)
    if _whole(unet, f"{UNET}/config.json", "in_channels", channels) != channels:
        why = f"takes {unet['in_channels']} channels, not the decoder's {channels}: a model that changes pictures"
        raise _invalid(f"{UNET}/config.json", why, "Use one that draws from text alone.")
    end = _token(tokenizer, "eos_token", END)
    return Folder(
        path=path,
        levels=levels,
        predict=predict,
        prediction_type=str(scheduler.get("prediction_type", "epsilon")),
        channels=channels,
        scale=scale,
        # Each level but the last halves what it is given and is put beside it again on the way back: an exported graph
        # cannot cut off what an odd size leaves over.
        grid=scale * 2 ** (_levels(unet, UNET) - 1),
        scaling_factor=_number(decoder, "scaling_factor", SCALING_FACTOR),
        shift_factor=_number(decoder, "shift_factor", 0.0),
        context_tokens=_whole(tokenizer, _TOKENIZER, "model_max_length", CONTEXT_TOKENS, least=3),
        begin=_token(tokenizer, "bos_token", BEGIN),
        end=end,
        pad=_token(tokenizer, "pad_token", end),
    )


def _invalid(name: str, why: str, remedy: str) -> BootError:
    return BootError("model_invalid", f"The picture model's {name} {why}. {remedy}")


def _json(path: Path, name: str) -> Mapping[str, Any]:
    try:
        file = path / name
        if file.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError(f"it has more than {_MAX_JSON_BYTES >> 20} MiB")
        found = json.loads(file.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except FileNotFoundError as error:
        raise _invalid(name, "is missing", _REMEDY) from error
    except (OSError, ValueError) as error:
        raise _invalid(name, f"cannot be read: {error}", _REMEDY) from error
    return found


def _levels(config: Mapping[str, Any], part: str) -> int:
    found = config.get("block_out_channels")
    if not isinstance(found, list) or not 1 <= len(found) <= 8:
        raise _invalid(f"{part}/config.json", "has no block_out_channels, a list with a number for each level", _REMEDY)
    return len(found)


def _whole(config: Mapping[str, Any], file: str, name: str, default: int, least: int = 1) -> int:
    found = config.get(name, default)
    if type(found) is not int or not least <= found <= 4096:
        raise _invalid(file, f"says {name} = {found!r:.40}, not a whole number from {least} to 4096", "Correct it.")
    return found


def _number(config: Mapping[str, Any], name: str, default: float) -> float:
    found = config.get(name)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, int | float) or (name == "scaling_factor" and found == 0):
        raise _invalid(f"{DECODER}/config.json", f"says {name} = {found!r:.40}, which is no number to use", "Correct it.")
    return float(found)


def _token(config: Mapping[str, Any], name: str, default: str) -> str:
    """Return a token's text; some versions write it as an object with more about it."""
    found = config.get(name)
    if isinstance(found, dict):
        found = found.get("content")
    return found if isinstance(found, str) and found else default
