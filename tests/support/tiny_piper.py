"""Voices of Piper in the true format, so small that a test writes them: a tone for each sound, as long as is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

#: Samples a second, and of each sound at the usual speed.
RATE = 22_050
SOUND_SAMPLES = 1024
#: The sounds that Piper's voices know, in the order of their numbers (piper.phoneme_ids, its first hundred and more).
SOUNDS = [
    *"_^$ !'(),-.:;?abcdefhijklmnopqrstuvwxyz",
    *"æçðøħŋœǀǁǂǃɐɑɒɓɔɕɖɗɘəɚɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒʔʕʘʙʛʜʝʟʡʢʲˈˌːˑ˞βθχᵻⱱ",
    *"0123456789\u0327\u0303\u032a\u032f\u0329",
]
_SYMBOLS = 256
_WIDTH = 16


def config(locale: str, dataset: str = "tiny", quality: str = "medium", speakers: int = 1) -> dict[str, Any]:
    """Return what stands in a voice's `.onnx.json`; `locale` as Piper writes it ("pl_PL"), espeak-ng's name from it."""
    family = locale.partition("_")[0]
    return {
        "audio": {"sample_rate": RATE, "quality": quality},
        "espeak": {"voice": {"en": "en-us", "zh": "cmn"}.get(family, family)},
        "language": {
            "code": locale,
            "family": family,
            "name_english": {"pl": "Polish", "en": "English"}.get(family, family),
        },
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": {sound: [number] for number, sound in enumerate(SOUNDS)},
        "num_symbols": _SYMBOLS,
        "num_speakers": speakers,
        "speaker_id_map": {f"p{number}": number for number in range(speakers)} if speakers > 1 else {},
        "dataset": dataset,
        "piper_version": "1.0.0",
    }


def network(speakers: int = 1, output: float = 1.0) -> onnx.ModelProto:
    """Return a network with Piper's inputs: numbers of sounds, how many, and noise, length and noise of length."""
    made = np.random.default_rng(0)
    sounds = made.standard_normal((_SYMBOLS, _WIDTH)).astype(np.float32)
    waves = (made.standard_normal((_WIDTH, SOUND_SAMPLES)) * 0.15 * output).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["sounds", "input"], ["each"]),
        helper.make_node("MatMul", ["each", "waves"], ["loud"]),
        helper.make_node("Tanh", ["loud"], ["within"]),
        helper.make_node("Reshape", ["within", "flat"], ["samples"]),
        helper.make_node("Gather", ["scales", "one"], ["length"]),
        helper.make_node("Concat", ["unit", "unit", "length"], ["stretch"], axis=0),
        helper.make_node("Resize", ["samples", "", "stretch"], ["stretched"], mode="linear"),
        helper.make_node("Unsqueeze", ["stretched", "one"], ["output"]),
    ]
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, ["batch", "sounds"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    values: dict[str, NDArray[Any]] = {
        "sounds": sounds, "waves": waves, "flat": np.array([1, 1, -1], np.int64), "one": np.array([1], np.int64),
        "unit": np.array([1.0], np.float32),
    }  # fmt: skip
    if speakers > 1:
        # Each speaker is as much louder as its number: tests tell them apart by it.
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, ["batch"]))
        values["loudness"] = np.linspace(0.2, 1.0, speakers, dtype=np.float32)
        nodes[2:3] = [
            helper.make_node("Gather", ["loudness", "sid"], ["volume"]),
            helper.make_node("Mul", ["loud", "volume"], ["louder"]),
            helper.make_node("Tanh", ["louder"], ["within"]),
        ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs,
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1, 1, "samples"])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def make(folder: Path, name: str = "en_US-tiny-medium", speakers: int = 1, output: float = 1.0, **changes: Any) -> Path:
    """Write a voice and return its `.onnx`; `changes` to its description."""
    folder.mkdir(parents=True, exist_ok=True)
    locale, dataset, quality = name.split("-")
    path = folder / f"{name}.onnx"
    onnx.save(network(speakers, output), path)
    beside = config(locale, dataset, quality, speakers) | changes
    path.with_name(f"{name}.onnx.json").write_text(json.dumps(beside), "utf-8")
    return path
