"""A tiny Stable Diffusion as an ONNX folder: every file and name as optimum writes them, random weights, nothing learned.

Its UNet has two levels, and cannot draw sizes that are odd on the lower one: sides must be multiples of 16 pixels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

#: Channels of the decoder's space, width of a text's numbers, tokens of a chunk.
CHANNELS, TEXT_WIDTH, CONTEXT = 4, 16, 77
#: Pixels of a side for each point; multiples of a side.
SCALE, GRID = 8, 16
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
#: Pieces of words beside the single bytes.
MERGES = (("r", "e"), ("re", "d</w>"), ("t", "h"), ("th", "e</w>"))
OPSET = 17

Weights = Mapping[str, NDArray[Any]]
#: An input or output of a graph: its name, kind of number and shape.
Value = tuple[str, int, Sequence[str | int]]


def make(
    folder: Path,
    *,
    prediction_type: str = "epsilon",
    half: bool = False,
    whole_timesteps: bool = False,
    listed_timesteps: bool = False,
    pad: str = END,
    width: int = 8,
) -> Path:
    """Write the model into `folder` and return it. `half`: 16 bits; `width`: channels inside the UNet, and its slowness."""
    random = np.random.default_rng(0)
    ids = _write_tokenizer(folder, pad)
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    _write_text_encoder(folder / "text_encoder", random, len(ids), kind)
    timesteps = TensorProto.INT64 if whole_timesteps else kind
    _write_unet(folder / "unet", random, kind, timesteps, ["steps"] if listed_timesteps else [], width)
    _write_decoder(folder / "vae_decoder", random, kind)
    _write_json(folder / "scheduler" / "scheduler_config.json", {
        "_class_name": "EulerDiscreteScheduler", "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "prediction_type": prediction_type,
    })  # fmt: skip
    _write_json(folder / "model_index.json", {"_class_name": "OnnxStableDiffusionPipeline"})
    return folder


def _write_tokenizer(folder: Path, pad: str) -> dict[str, int]:
    """CLIP's way of writing bytes as letters, one token for each inside a word and one at its end."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = [chr(byte) for byte in plain] + [chr(256 + number) for number in range(len(others))]
    pieces = [first + second for first, second in MERGES]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *pieces, BEGIN, END]
    ids = {token: number for number, token in enumerate(tokens)}
    place = folder / "tokenizer"
    _write_json(place / "vocab.json", ids)
    (place / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in MERGES))
    _write_json(place / "tokenizer_config.json", {
        "bos_token": BEGIN, "eos_token": {"content": END, "lstrip": False}, "pad_token": pad, "model_max_length": CONTEXT,
    })  # fmt: skip
    return ids


def _write_text_encoder(place: Path, random: np.random.Generator, vocabulary: int, kind: int) -> None:
    """A vector for each token, and one for each place in the chunk."""
    weights = {
        "tokens": random.standard_normal((vocabulary, TEXT_WIDTH)),
        "places": random.standard_normal((CONTEXT, TEXT_WIDTH)),
    }
    nodes = [
        helper.make_node("Gather", ["tokens", "input_ids"], ["found"]),
        helper.make_node("Add", ["found", "places"], ["last_hidden_state"]),
    ]
    inputs: list[Value] = [("input_ids", TensorProto.INT64, ["batch", "sequence"])]
    _write(place, nodes, inputs, ("last_hidden_state", kind, ["batch", "sequence", TEXT_WIDTH]), weights, kind)
    _write_json(place / "config.json", {"hidden_size": TEXT_WIDTH, "max_position_embeddings": CONTEXT})


def _write_unet(
    place: Path, random: np.random.Generator, kind: int, timesteps: int, timestep_shape: Sequence[str], width: int
) -> None:
    """Down to half the size and back, the larger half put beside it: as a UNet does, with a single layer for each."""

    def convolution(out: int, into: int) -> NDArray[Any]:
        found: NDArray[Any] = random.standard_normal((out, into, 3, 3)) / np.sqrt(9 * into)
        return found

    weights = {
        "first": convolution(width, CHANNELS),
        "down": convolution(width, width),
        "last": convolution(CHANNELS, 2 * width),
        "of_text": random.standard_normal((TEXT_WIDTH, width)),
        "of_time": random.standard_normal((1, width, 1, 1)),
        "thousand": np.array(1000.0),
    }
    shapes: dict[str, NDArray[Any]] = {
        "column": np.array([-1, width, 1, 1], np.int64),
        "single": np.array([1, 1, 1, 1], np.int64),
    }
    node = helper.make_node
    same: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", ["sample", "first"], ["seen"], **same),
        node("ReduceMean", ["encoder_hidden_states"], ["text"], axes=[1], keepdims=0),
        node("MatMul", ["text", "of_text"], ["told"]),
        node("Reshape", ["told", "column"], ["told_here"]),
        node("Add", ["seen", "told_here"], ["with_text"]),
        node("Cast", ["timestep"], ["time"], to=kind),
        node("Reshape", ["time", "single"], ["time_single"]),
        node("Div", ["time_single", "thousand"], ["time_share"]),
        node("Mul", ["time_share", "of_time"], ["time_here"]),
        node("Add", ["with_text", "time_here"], ["all"]),
        node("Tanh", ["all"], ["upper"]),
        node("Conv", ["upper", "down"], ["lower"], strides=[2, 2], **same),
        node("Tanh", ["lower"], ["bent"]),
        node("Resize", ["bent", "", "twice"], ["back"], mode="nearest"),
        node("Concat", ["back", "upper"], ["beside"], axis=1),
        node("Conv", ["beside", "last"], ["out_sample"], **same),
    ]
    shape: Sequence[str | int] = ["batch", CHANNELS, "height", "width"]
    inputs: list[Value] = [
        ("sample", kind, shape),
        ("timestep", timesteps, timestep_shape),
        ("encoder_hidden_states", kind, ["batch", "sequence", TEXT_WIDTH]),
    ]
    fixed = {**shapes, "twice": np.array([1, 1, 2, 2], np.float32)}
    _write(place, nodes, inputs, ("out_sample", kind, shape), weights, kind, fixed)
    _write_json(place / "config.json", {
        "block_out_channels": [width, width], "in_channels": CHANNELS, "cross_attention_dim": TEXT_WIDTH,
    })  # fmt: skip


def _write_decoder(place: Path, random: np.random.Generator, kind: int) -> None:
    """A colour for each point, eight pixels wide, and the edges between them made soft."""
    weights = {
        "colours": random.standard_normal((3, CHANNELS, 1, 1)),
        "soft": np.eye(3)[:, :, None, None] * np.full((3, 3), 1 / 9),
    }
    nodes = [
        helper.make_node("Conv", ["latent_sample", "colours"], ["coloured"], kernel_shape=[1, 1]),
        helper.make_node("Resize", ["coloured", "", "eightfold"], ["large"], mode="nearest"),
        helper.make_node("Conv", ["large", "soft"], ["softened"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Tanh", ["softened"], ["sample"]),
    ]
    fixed = {"eightfold": np.array([1, 1, SCALE, SCALE], np.float32)}
    inputs: list[Value] = [("latent_sample", kind, ["batch", CHANNELS, "height", "width"])]
    _write(place, nodes, inputs, ("sample", kind, ["batch", 3, "rows", "columns"]), weights, kind, fixed)
    _write_json(place / "config.json", {
        "block_out_channels": [8, 8, 8, 8], "latent_channels": CHANNELS, "scaling_factor": 0.18215, "shift_factor": None,
    })  # fmt: skip


def _write(
    place: Path,
    nodes: list[Any],
    inputs: Sequence[Value],
    output: Value,
    weights: Weights,
    kind: int,
    fixed: Weights | None = None,
) -> None:
    """Write a graph, its `weights` in `kind`, what is `fixed` as it is."""
    number = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    constants = {name: array.astype(number) for name, array in weights.items()} | dict(fixed or {})
    graph = helper.make_graph(
        nodes,
        place.name,
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*output)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    place.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(place / "model.onnx"))


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
