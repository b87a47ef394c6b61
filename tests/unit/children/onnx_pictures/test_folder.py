"""What is read in a model's folder, and what is refused with its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minitoolai.children.onnx_pictures import folder
from minitoolai.children.report import BootError
from tests.support import tiny_diffusion

UNET, DECODER = "unet/config.json", "vae_decoder/config.json"
SCHEDULER, TOKENIZER = "scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json"


def test_a_folder_is_read(model: Path) -> None:
    """Scale and grid follow from the levels of decoder and UNet; tokens are named as texts or as objects."""
    found = folder.read(model)
    assert (found.channels, found.scale, found.grid) == (4, tiny_diffusion.SCALE, tiny_diffusion.GRID)
    assert (found.scaling_factor, found.shift_factor, found.context_tokens) == (0.18215, 0.0, 77)
    assert (found.begin, found.end, found.pad) == (tiny_diffusion.BEGIN, tiny_diffusion.END, tiny_diffusion.END)
    assert found.prediction_type == "epsilon"
    assert len(found.levels.log_sigmas) == 1000


def test_stable_diffusion_has_a_grid_of_64(model: Path) -> None:
    """Four levels in the UNet halve three times."""
    _change(model, UNET, block_out_channels=[320, 640, 1280, 1280])
    assert folder.read(model).grid == 64


def test_what_a_folder_need_not_say(model: Path) -> None:
    """Without the tokenizer's settings and the decoder's numbers CLIP's and Stable Diffusion's own hold."""
    (model / TOKENIZER).unlink()
    _change(model, DECODER, scaling_factor=None, shift_factor=0.1)
    _change(model, SCHEDULER, prediction_type="v_prediction")
    found = folder.read(model)
    assert (found.context_tokens, found.pad, found.scaling_factor, found.shift_factor) == (77, found.end, 0.18215, 0.1)
    assert found.prediction_type == "v_prediction"


def test_no_folder(tmp_path: Path) -> None:
    """A path that is nothing, or a file, is told apart."""
    with pytest.raises(BootError, match="does not exist") as caught:
        folder.read(tmp_path / "nothing")
    assert caught.value.code == "model_missing"
    (tmp_path / "file").touch()
    with pytest.raises(BootError, match="is a file") as caught:
        folder.read(tmp_path / "file")
    assert caught.value.code == "model_missing"


@pytest.mark.parametrize("name", [*folder.GRAPHS, folder.VOCABULARY, folder.MERGES, UNET, DECODER, SCHEDULER])
def test_a_missing_file_is_named(model: Path, name: str) -> None:
    """Every file that is needed, with what writes it."""
    (model / name).unlink()
    _refused(model, name, "is missing", "optimum-cli")


@pytest.mark.parametrize("content", ["", "nope", "[1]", '{"a":', "\udcff"])
def test_a_broken_file_is_named(model: Path, content: str) -> None:
    """No JSON, no object, no UTF-8."""
    (model / SCHEDULER).write_text(content, "utf-8", "surrogateescape")
    _refused(model, SCHEDULER, "cannot be read")


def test_a_huge_small_file_is_not_read(model: Path) -> None:
    """A file of settings that is as large as weights is a mistake."""
    with (model / UNET).open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    _refused(model, UNET, "more than 16 MiB")


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (UNET, {"block_out_channels": None}, "block_out_channels"),
        (UNET, {"block_out_channels": []}, "block_out_channels"),
        (DECODER, {"block_out_channels": [1] * 9}, "block_out_channels"),
        (UNET, {"in_channels": 9}, "9 channels"),
        (DECODER, {"latent_channels": 0}, "latent_channels"),
        (DECODER, {"scaling_factor": 0}, "scaling_factor"),
        (DECODER, {"scaling_factor": "big"}, "scaling_factor"),
        (DECODER, {"shift_factor": True}, "shift_factor"),
        (TOKENIZER, {"model_max_length": 2}, "model_max_length"),
        (SCHEDULER, {"prediction_type": "dreams"}, "dreams"),
        (SCHEDULER, {"beta_schedule": "odd"}, "beta_schedule"),
    ],
)
def test_a_wrong_value_is_named(model: Path, name: str, changes: dict[str, Any], words: str) -> None:
    """The file and the field, and what is wrong with it."""
    _change(model, name, **changes)
    _refused(model, name, words)


@pytest.mark.parametrize(("name", "kind"), [("text_encoder_2", "SDXL"), ("transformer", "FLUX")])
def test_other_kinds_of_models_are_told_by_name(model: Path, name: str, kind: str) -> None:
    """What belongs to a larger relative is no broken Stable Diffusion."""
    (model / name).mkdir()
    _refused(model, name, kind)


def _change(model: Path, name: str, **changes: Any) -> None:
    file = model / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def _refused(model: Path, *words: str) -> None:
    with pytest.raises(BootError) as caught:
        folder.read(model)
    assert caught.value.code == "model_invalid"
    assert all(word in str(caught.value) for word in words), str(caught.value)
