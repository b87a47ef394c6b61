"""The three networks of Stable Diffusion on onnxruntime, each a function of arrays: text encoder, UNet, decoder.

Everything outside is 32-bit; what a graph takes (16 or 32 bits, whole timesteps or not) is read from its inputs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from minitoolai.children.onnx_pictures.folder import DECODER, TEXT_ENCODER, UNET, Folder
from minitoolai.children.onnx_pictures.prompts import Chunk
from minitoolai.children.report import BootError

Floats = NDArray[np.float32]

#: onnxruntime's names of the types that graphs take here.
TYPES: Mapping[str, type[np.generic]] = {
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
#: Inputs and outputs as optimum names them.
INPUTS: Mapping[str, frozenset[str]] = {
    TEXT_ENCODER: frozenset({"input_ids"}),
    UNET: frozenset({"sample", "timestep", "encoder_hidden_states"}),
    DECODER: frozenset({"latent_sample"}),
}
OUTPUTS: Mapping[str, str] = {TEXT_ENCODER: "last_hidden_state", UNET: "out_sample", DECODER: "sample"}
#: Parts of onnxruntime's messages when memory cannot be had.
_OUT_OF_MEMORY = ("bad allocation", "bad_alloc", "failed to allocate", "out of memory")
#: Timestep of the trial: any will do.
_TRIAL_TIMESTEP = 1.0


class NetworkFailed(Exception):
    """A network could not be run. `code` is for programs: `out_of_memory` or `engine_failed`."""

    def __init__(self, code: str, message: str) -> None:
        """Keep `code` beside the text."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Networks:
    """What a picture needs computed; each raises `NetworkFailed`, and may be called from several threads."""

    #: Chunks of T tokens each -> what they mean, [chunks, T, width].
    encode: Callable[[Sequence[Chunk]], Floats]
    #: What is seen [batch, channels, height, width], a timestep, texts [batch, tokens, width] -> as what is seen.
    unet: Callable[[Floats, float, Floats], Floats]
    #: Points [1, channels, height, width] -> pixels [1, 3, scale height, scale width], from -1 to 1.
    decode: Callable[[Floats], Floats]
    #: Name of the execution provider.
    provider: str
    #: Threads of each run.
    threads: int


class _Graph:
    """A loaded graph."""

    def __init__(self, part: str, session: Any, errors: tuple[type[Exception], ...]) -> None:
        self._part = part
        self._session = session
        self._errors = errors
        inputs = {each.name: each for each in session.get_inputs()}
        outputs = {each.name for each in session.get_outputs()}
        if set(inputs) != INPUTS[part]:
            raise _invalid(part, f"takes {_listed(inputs)}, not {_listed(INPUTS[part])}: it is no Stable Diffusion 1 or 2")
        if OUTPUTS[part] not in outputs:
            raise _invalid(part, f"gives {_listed(outputs)}, and no {OUTPUTS[part]}")
        self._outputs = [OUTPUTS[part]]
        #: The type of each input.
        self.types: dict[str, type[np.generic]] = {}
        for name, each in inputs.items():
            if each.type not in TYPES:
                raise _invalid(part, f"takes {name} as {each.type}, which is no kind of number known here")
            self.types[name] = TYPES[each.type]
        #: Numbers of dimensions of each input.
        self.dimensions = {name: len(each.shape) for name, each in inputs.items()}

    def run(self, **arrays: NDArray[Any]) -> Floats:
        """Return the output for the inputs. Raises `NetworkFailed`."""
        given = {name: array.astype(self.types[name], copy=False) for name, array in arrays.items()}
        try:
            (found,) = self._session.run(self._outputs, given)
        except self._errors as error:
            raise NetworkFailed(_code(error, "engine_failed"), f"{self._part}: {_first_line(error)}") from error
        floats: Floats = found.astype(np.float32, copy=False)
        return floats


def load(folder: Folder, threads: int | None, providers: Sequence[str]) -> Networks:
    """Return the networks of a folder, tried out once.

    Raises `BootError` (`engine_missing`, `model_invalid`, `out_of_memory`).
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as native
    except ImportError as error:
        raise BootError(
            "engine_missing", f"onnxruntime is not installed ({error}). Install it: pip install 'minitoolai[onnx]'."
        ) from error
    there = onnxruntime.get_available_providers()
    provider = next((name for name in providers if name in there), None)
    if provider is None:
        raise BootError(
            "engine_missing",
            f"This onnxruntime has none of the providers {_listed(providers)}, but {_listed(there)}. "
            "Install the package of onnxruntime that has it, or correct providers.",
        )
    own = [each for each in vars(native).values() if isinstance(each, type) and issubclass(each, Exception)]
    errors: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError, TypeError, MemoryError)
    count = threads or _cores()
    options = _options(onnxruntime, count)
    graphs = {}
    for part in (TEXT_ENCODER, UNET, DECODER):
        try:
            path = str(folder.path / part / "model.onnx")
            session = onnxruntime.InferenceSession(path, options, providers=[provider])
        except errors as error:
            _refuse(part, error)
        graphs[part] = _Graph(part, session, errors)
    networks = _functions(graphs, provider, count)
    _try_out(networks, folder)
    return networks


def _options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    # Threads that spin while they wait take the cores from everybody else: on 2 cores beside two busy processes a call
    # of the starter's UNet took 96 ms with it and 46 without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # An arena keeps what the largest picture ever needed (6.9 GB after one of 1344 x 1344), and a pattern of memory is
    # kept for every size. Without both the process had 161 MB again, and pictures took as long.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return options


def _functions(graphs: Mapping[str, _Graph], provider: str, threads: int) -> Networks:
    encoder, unet, decoder = graphs[TEXT_ENCODER], graphs[UNET], graphs[DECODER]
    # Graphs take the timestep as a number or as a list of one, which holds for all of a batch.
    timestep_shape = (1,) * unet.dimensions["timestep"]
    whole = issubclass(unet.types["timestep"], np.integer)

    def encode(chunks: Sequence[Chunk]) -> Floats:
        return encoder.run(input_ids=np.asarray(chunks, np.int64))

    def predict(sample: Floats, timestep: float, texts: Floats) -> Floats:
        at = np.full(timestep_shape, round(timestep) if whole else timestep, np.float64)
        return unet.run(sample=sample, timestep=at, encoder_hidden_states=texts)

    def decode(points: Floats) -> Floats:
        return decoder.run(latent_sample=points)

    return Networks(encode, predict, decode, provider, threads)


def _try_out(networks: Networks, folder: Folder) -> None:
    """Run each network at its smallest, with two chunks of text, so that what cannot draw never says that it is ready."""
    side = folder.grid // folder.scale
    points = np.zeros((2, folder.channels, side, side), np.float32)
    part = TEXT_ENCODER
    try:
        texts = networks.encode([[0] * folder.context_tokens] * 4)
        part = UNET
        seen = networks.unet(points, _TRIAL_TIMESTEP, texts.reshape(2, -1, texts.shape[-1]))
        if seen.shape != points.shape:
            raise _invalid(UNET, f"answers {points.shape} with {seen.shape}")
        part = DECODER
        pixels = networks.decode(points[:1])
    except NetworkFailed as error:
        if error.code == "out_of_memory":
            raise BootError("out_of_memory", "The machine has too little memory for this picture model.") from error
        raise _invalid(part, f"cannot be run ({error}): batch, height, width and tokens must be free in it") from error
    if pixels.shape != (1, 3, folder.grid, folder.grid):
        raise _invalid(DECODER, f"makes {pixels.shape} where {(1, 3, folder.grid, folder.grid)} is due")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _refuse(part: str, error: Exception) -> NoReturn:
    """Raise what an error of onnxruntime means that came while it loaded a graph."""
    if _code(error, "") == "out_of_memory":
        raise BootError("out_of_memory", f"The machine has too little memory for this model's {part}.") from error
    raise _invalid(part, f"cannot be loaded: {_first_line(error)}") from error


def _code(error: Exception, otherwise: str) -> str:
    if isinstance(error, MemoryError) or any(mark in str(error).lower() for mark in _OUT_OF_MEMORY):
        return "out_of_memory"
    return otherwise


def _invalid(part: str, why: str) -> BootError:
    return BootError(
        "model_invalid",
        f"The picture model's {part}/model.onnx {why}. Check that the file is whole, or export it anew: "
        "optimum-cli export onnx --model NAME FOLDER.",
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
