"""The shipped starter picture model: small, in the format it claims, and right on prompts it was never trained on."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("onnxruntime", reason="the starter picture model is NOT tested: onnxruntime is missing")

import onnxruntime

from training.starter_picture import questions, words
from training.starter_picture.questions import Question
from training.starter_picture.tokens import tables

if TYPE_CHECKING:
    from training.starter_picture.evaluate import Drawer

FOLDER = Path(__file__).parents[2] / "src" / "minitoolai" / "children" / "models" / "starter-picture"
#: The most the folder may hold, in bytes.
LARGEST = 25_000_000
FILES = {
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.onnx",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/model.onnx",
    "vae_decoder/config.json",
    "vae_decoder/model.onnx",
}
#: By part: inputs and outputs, each with its type and its fixed sizes; None for a size that may change.
GRAPHS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text_encoder": (
        {"input_ids": ("tensor(int64)", [None, None])},
        {"last_hidden_state": ("tensor(float)", [None, None, 64])},
    ),
    "unet": (
        {
            "sample": ("tensor(float)", [None, 4, None, None]),
            "timestep": ("tensor(float)", []),
            "encoder_hidden_states": ("tensor(float)", [None, None, 64]),
        },
        {"out_sample": ("tensor(float)", [None, 4, None, None])},
    ),
    "vae_decoder": (
        {"latent_sample": ("tensor(float)", [None, 4, None, None])},
        {"sample": ("tensor(float)", [None, 3, None, None])},
    ),
}


@pytest.fixture(scope="module")
def drawer() -> "Drawer":
    """Draws with the shipped folder as the child does."""
    from training.starter_picture.evaluate import Drawer, Way

    return Drawer(FOLDER, Way())


def _settings(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return read


def test_the_folder_holds_exactly_its_files() -> None:
    """The parts of a Stable Diffusion folder in ONNX are there, and nothing else."""
    assert {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()} == FILES


def test_the_folder_is_small_enough_to_ship() -> None:
    """The package carries 25 megabytes of picture weights at most."""
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= LARGEST


@pytest.mark.parametrize("part", list(GRAPHS))
def test_graphs_take_and_give_what_the_format_says(part: str) -> None:
    """Names, types and dimensions are those that optimum gives; batch, height, width and tokens are free."""
    session = onnxruntime.InferenceSession(str(FOLDER / part / "model.onnx"))
    for nodes, wanted in zip((session.get_inputs(), session.get_outputs()), GRAPHS[part], strict=True):
        found = {node.name: (node.type, [size if isinstance(size, int) else None for size in node.shape]) for node in nodes}
        assert found == wanted


@pytest.mark.parametrize("part", list(GRAPHS))
def test_graphs_name_no_files_of_their_maker(part: str) -> None:
    """The exporter's notes, which hold paths of the machine it ran on, are gone."""
    content = (FOLDER / part / "model.onnx").read_bytes()
    assert not [mark for mark in (b"site-packages", b".py", b"/tmp/", b"/home/", b"/root/") if mark in content]


def test_the_settings_say_how_the_model_was_trained() -> None:
    """What is predicted, the noise schedule, the spacing and the scale of the latent are those of the training."""
    scheduler = _settings("scheduler/scheduler_config.json")
    assert scheduler["prediction_type"] == "v_prediction"
    assert scheduler["timestep_spacing"] == "trailing"
    assert (scheduler["beta_start"], scheduler["beta_end"]) == (0.00085, 0.012)
    assert scheduler["beta_schedule"] == "scaled_linear"
    assert _settings("vae_decoder/config.json")["scaling_factor"] == 0.18215
    assert _settings("unet/config.json")["block_out_channels"] == [32, 64, 128]
    assert _settings("model_index.json")["unet"] == ["diffusers", "UNet2DConditionModel"]


def test_the_tokenizer_is_that_of_the_sources() -> None:
    """Vocabulary and merges are those that the known words give, and the marks are CLIP's."""
    tokens, merges = tables(words.KNOWN)
    assert _settings("tokenizer/vocab.json") == {token: number for number, token in enumerate(tokens)}
    lines = (FOLDER / "tokenizer" / "merges.txt").read_text(encoding="utf-8").splitlines()
    assert [tuple(line.split(" ")) for line in lines[1:]] == merges
    assert _settings("tokenizer/tokenizer_config.json")["model_max_length"] == 77
    assert _settings("tokenizer/special_tokens_map.json")["pad_token"] == "<|endoftext|>"


@pytest.mark.parametrize(
    ("asked", "width", "height", "least"),
    [
        (questions.singles(20), 256, 256, 18),
        (questions.singles(6), 1024, 1024, 5),
        (questions.places(8), 256, 256, 6),
        (questions.pairs(10), 256, 256, 6),
        (questions.scenes(), 256, 256, 8),
        (questions.singles(6), 768, 512, 5),
        (questions.singles(6), 257, 1343, 3),
    ],
    ids=["never drawn", "never drawn, enlarged", "places", "pairs", "scenes", "a little wide", "upright"],
)
def test_it_draws_what_was_asked(drawer: "Drawer", asked: Sequence[Question], width: int, height: int, least: int) -> None:
    """At the API's own defaults (4 steps) most pictures are right by the strict rule."""
    drawn = drawer.answer(asked, width, height)
    assert all(picture.image.size == (width, height) for picture in drawn)
    wrong = [picture.prompt for picture in drawn if not picture.right]
    assert len(drawn) - len(wrong) >= least, wrong


def test_small_plain_and_large_things_have_these_sizes(drawer: "Drawer") -> None:
    """The same thing asked for small, plain and large has a growing area."""
    from training.starter_picture.evaluate import grown

    assert grown(drawer, questions.sizes(4), 256, 256) >= 3
