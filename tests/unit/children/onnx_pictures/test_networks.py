"""The three networks on onnxruntime: what they take, and what is refused with the name of its file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from minitoolai.children.onnx_pictures import folder, networks
from minitoolai.children.onnx_pictures.boot import CPU_PROVIDER
from minitoolai.children.onnx_pictures.networks import NetworkFailed, Networks
from minitoolai.children.report import BootError
from tests.support import tiny_diffusion

CHUNKS = [[5] * tiny_diffusion.CONTEXT] * 2
SEEN = np.random.default_rng(1).standard_normal((1, 4, 4, 6)).astype(np.float32)


def loaded(model: Path, threads: int | None = 1) -> Networks:
    """The networks of a folder on the processor."""
    return networks.load(folder.read(model), threads, [CPU_PROVIDER])


@pytest.mark.parametrize(
    "options",
    [{"half": True}, {"whole_timesteps": True}, {"listed_timesteps": True}, {"half": True, "listed_timesteps": True}],
)
def test_every_kind_of_number_is_fed(model: Path, tmp_path: Path, options: dict[str, bool]) -> None:
    """Graphs of 16 bits, with whole timesteps or a list of one say nearly what the plain one says, in 32 bits."""
    plain, other = loaded(model), loaded(tiny_diffusion.make(tmp_path / "other", **options))  # type: ignore[arg-type]
    texts = plain.encode(CHUNKS).reshape(1, -1, tiny_diffusion.TEXT_WIDTH)
    for found, expected in (
        (other.encode(CHUNKS), plain.encode(CHUNKS)),
        (other.unet(SEEN, 412.3, texts), plain.unet(SEEN, 412.3, texts)),
        (other.decode(SEEN), plain.decode(SEEN)),
    ):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=0.02)


def test_timesteps_are_not_rounded_without_need(model: Path, tmp_path: Path) -> None:
    """Between two timesteps lies something else, but for a graph that takes whole ones: it gets the nearest."""
    texts = np.zeros((1, 77, tiny_diffusion.TEXT_WIDTH), np.float32)
    plain = loaded(model).unet
    whole = loaded(tiny_diffusion.make(tmp_path / "whole", whole_timesteps=True)).unet
    assert not np.array_equal(plain(SEEN, 300.4, texts), plain(SEEN, 300.0, texts))
    assert np.array_equal(whole(SEEN, 300.4, texts), plain(SEEN, 300.0, texts))
    assert np.array_equal(whole(SEEN, 300.6, texts), plain(SEEN, 301.0, texts))


def test_threads_and_provider_are_told(model: Path) -> None:
    """The first provider that is there draws; without a number of threads there are as many as cores."""
    found = networks.load(folder.read(model), None, ["NoSuchProvider", CPU_PROVIDER])
    assert found.provider == CPU_PROVIDER
    assert found.threads >= 1
    assert loaded(model, 3).threads == 3


def test_no_provider_is_there(model: Path) -> None:
    """What was asked and what there is are both named."""
    with pytest.raises(BootError, match=f"NoSuchProvider.*{CPU_PROVIDER}") as caught:
        networks.load(folder.read(model), 1, ["NoSuchProvider"])
    assert caught.value.code == "engine_missing"


def test_onnxruntime_is_not_installed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is a command."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BootError, match="pip install") as caught:
        loaded(model)
    assert caught.value.code == "engine_missing"


@pytest.mark.parametrize("part", [folder.TEXT_ENCODER, folder.UNET, folder.DECODER])
@pytest.mark.parametrize("damage", ["text", "cut", "empty"])
def test_a_broken_graph_is_named(model: Path, part: str, damage: str) -> None:
    """No graph, half a graph, nothing."""
    file = model / part / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes({"text": b"not a graph", "cut": whole[: len(whole) // 2], "empty": b""}[damage])
    _refused(model, f"{part}/model.onnx", "export it anew")


def test_another_kind_of_unet_is_told(model: Path) -> None:
    """What takes more than a Stable Diffusion's does names what it takes."""
    _graph(model / "unet" / "model.onnx", {"sample": 1, "timestep": 1, "encoder_hidden_states": 1, "text_embeds": 1})
    _refused(model, "unet/model.onnx", "text_embeds", "no Stable Diffusion 1 or 2")


def test_a_graph_without_its_output_is_told(model: Path) -> None:
    """An output of another name is none that can be used."""
    _graph(model / "vae_decoder" / "model.onnx", {"latent_sample": TensorProto.FLOAT}, "reconstruction")
    _refused(model, "vae_decoder/model.onnx", "reconstruction", "no sample")


def test_numbers_that_nobody_feeds_are_told(model: Path) -> None:
    """Texts are no tokens."""
    _graph(model / "text_encoder" / "model.onnx", {"input_ids": TensorProto.STRING}, "last_hidden_state")
    _refused(model, "text_encoder/model.onnx", "tensor(string)")


def test_what_cannot_draw_is_found_before_it_is_ready(model: Path, tmp_path: Path) -> None:
    """Sizes that are fixed in the graph, a decoder of another scale, texts of another width."""
    fixed = onnx.load(str(model / "unet" / "model.onnx"))
    for dimension, size in zip(fixed.graph.input[0].type.tensor_type.shape.dim, (1, 4, 64, 64), strict=True):
        dimension.dim_value = size
    onnx.save(fixed, str(model / "unet" / "model.onnx"))
    _refused(model, "unet/model.onnx", "must be free")

    other = tiny_diffusion.make(tmp_path / "other")
    config = other / "vae_decoder" / "config.json"
    config.write_text(config.read_text().replace("[8, 8, 8, 8]", "[8, 8, 8]"))
    _refused(other, "vae_decoder/model.onnx", "is due")


def test_a_unet_that_changes_the_size_is_told(model: Path) -> None:
    """The trial compares shapes."""
    _graph(model / "unet" / "model.onnx", {"sample": 1, "timestep": 1, "encoder_hidden_states": 1}, "out_sample", "Shape")
    _refused(model, "unet/model.onnx", "answers (2, 4, 2, 2) with (4,)")


class _Full:
    """A session for which there is no memory once a picture is drawn."""

    def __init__(self, session: Any, failing: list[str]) -> None:
        self._session = session
        self._failing = failing
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, *arguments: Any) -> Any:
        """Run it, or fail."""
        if self._failing:
            raise RuntimeError(self._failing[0])
        return self._session.run(*arguments)


def test_failures_while_drawing_are_sorted(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory is another failure than all others; neither is the end of the process."""
    failing: list[str] = []
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **options: _Full(real(*args, **options), failing))
    found = loaded(model)
    failing.append("Failed to allocate memory for requested buffer of size 9\nand more")
    with pytest.raises(NetworkFailed, match=r"vae_decoder: Failed to allocate.* size 9$") as caught:
        found.decode(SEEN)
    assert caught.value.code == "out_of_memory"
    failing[0] = ""
    with pytest.raises(NetworkFailed, match="vae_decoder: RuntimeError") as caught:
        found.decode(SEEN)
    assert caught.value.code == "engine_failed"
    failing[0] = "std::bad_alloc"
    with pytest.raises(BootError) as refused:
        loaded(model)
    assert refused.value.code == "out_of_memory"


def test_a_model_that_memory_has_no_room_for(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told apart from a broken one, and which part it was."""

    def full(*_arguments: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(onnxruntime, "InferenceSession", full)
    with pytest.raises(BootError, match="text_encoder") as caught:
        loaded(model)
    assert caught.value.code == "out_of_memory"


def test_a_network_keeps_nothing(model: Path) -> None:
    """The same call says the same after another one, so that threads may share it."""
    found = loaded(model)
    before = found.decode(SEEN)
    found.decode(SEEN * 2)
    assert np.array_equal(found.decode(SEEN), before)


def _graph(path: Path, inputs: dict[str, int], output: str = "out_sample", operation: str = "Identity") -> None:
    """Write a graph that gives its first input back."""
    kind = next(iter(inputs.values()))
    result = TensorProto.INT64 if operation == "Shape" else kind
    graph = helper.make_graph(
        [helper.make_node(operation, [next(iter(inputs))], [output])],
        "graph",
        [helper.make_tensor_value_info(name, type_, None) for name, type_ in inputs.items()],
        [helper.make_tensor_value_info(output, result, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def _refused(model: Path, *words: str) -> None:
    with pytest.raises(BootError) as caught:
        loaded(model)
    assert caught.value.code == "model_invalid"
    assert all(word in str(caught.value) for word in words), str(caught.value)
