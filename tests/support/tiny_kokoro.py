"""Kokoro's model and voices in the true formats, so small that a test writes them: a tone for each sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

#: Samples a second, and of each sound at the usual speed.
RATE = 24_000
SOUND_SAMPLES = 2400
#: Sounds that the model takes at once.
MOST_SOUNDS = 510
VOICES = ("af_heart", "af_alloy", "am_onyx", "bf_emma", "bm_fable", "ef_dora", "ff_siwis", "jf_alpha", "zf_xiaobei")
_WIDTH = 16


def network(tokens: str = "tokens", output: float = 1.0) -> onnx.ModelProto:
    """Return a network with Kokoro's inputs: numbers of sounds, a style, a speed. `tokens`: what the first is called."""
    made = np.random.default_rng(0)
    values: dict[str, NDArray[Any]] = {
        "sounds": made.standard_normal((256, _WIDTH)).astype(np.float32),
        "waves": (made.standard_normal((_WIDTH, SOUND_SAMPLES)) * 0.15 * output).astype(np.float32),
        "first": np.array([0], np.int64), "second": np.array([1], np.int64), "unit": np.array([1.0], np.float32),
        "flat": np.array([1, 1, -1], np.int64), "line": np.array([-1], np.int64),
        "quiet": np.array([0.01 * output], np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["sounds", tokens], ["each"]),
        helper.make_node("MatMul", ["each", "waves"], ["loud"]),
        helper.make_node("Slice", ["style", "first", "second", "second"], ["tone"]),
        helper.make_node("Mul", ["tone", "quiet"], ["soft"]),
        helper.make_node("Add", ["loud", "soft"], ["toned"]),
        helper.make_node("Tanh", ["toned"], ["within"]),
        helper.make_node("Reshape", ["within", "flat"], ["samples"]),
        helper.make_node("Div", ["unit", "speed"], ["length"]),
        helper.make_node("Concat", ["unit", "unit", "length"], ["stretch"], axis=0),
        helper.make_node("Resize", ["samples", "", "stretch"], ["stretched"], mode="linear"),
        helper.make_node("Reshape", ["stretched", "line"], ["audio"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(tokens, TensorProto.INT64, [1, "sounds"]),
            helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
            helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def styles(names: tuple[str, ...] = VOICES) -> dict[str, NDArray[np.float32]]:
    """Return the styles of voices, one for each number of sounds."""
    made = np.random.default_rng(1)
    return {name: made.standard_normal((MOST_SOUNDS, 1, 256)).astype(np.float32) for name in names}


def make(folder: Path, names: tuple[str, ...] = VOICES, tokens: str = "tokens", output: float = 1.0) -> Path:
    """Write a model and its voices as kokoro-onnx's release has them; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(network(tokens, output), folder / "kokoro-v1.0.onnx")
    with (folder / "voices-v1.0.bin").open("wb") as file:
        np.savez(file, allow_pickle=False, **styles(names))
    return folder
