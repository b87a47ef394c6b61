"""Networks of voices on onnxruntime: opened with the threads that are ours, and their failures in our words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as native

from minitoolai.children.speech.synthesis import SpeakingFailed

#: Threads of one piece where the operator names no number: the networks of voices are small, and more gain them little.
MAX_THREADS = 4
#: The largest number of a sample.
_PEAK = 32767.0
#: Parts of onnxruntime's messages when memory cannot be had.
_OUT_OF_MEMORY = ("bad allocation", "bad_alloc", "failed to allocate", "out of memory")
_NATIVE = tuple(each for each in vars(native).values() if isinstance(each, type) and issubclass(each, Exception))
#: What a damaged or foreign network, or an engine's library, raises.
ERRORS: tuple[type[Exception], ...] = (
    *_NATIVE, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError, OSError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Threads:
    """How the cores are shared out: `parallel` pieces at a time, each with so many threads."""

    #: Of one piece.
    threads: int
    #: Pieces spoken side by side.
    parallel: int

    @classmethod
    def of(cls, threads: int | None) -> Threads:
        """Share out the cores that are ours; `threads`: of one piece, None: as many as help."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        each = threads or min(cores, MAX_THREADS)
        return cls(each, max(1, cores // each))


def open_session(path: Path, threads: int) -> Any:
    """Return a network as an `onnxruntime.InferenceSession`. Raises one of `ERRORS`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    # As for pictures (`onnx_pictures.networks`): who waits leaves the cores to others, and no memory is kept for every
    # length that a sentence ever had.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@contextmanager
def failures(what: str) -> Iterator[None]:
    """Raise `SpeakingFailed` (`out_of_memory`, `engine_failed`) for what one of `ERRORS` means that `what` raised."""
    try:
        yield
    except ERRORS as error:
        code = "out_of_memory" if is_out_of_memory(error) else "engine_failed"
        # Without the message where it is not onnxruntime's own: others quote the text.
        why = first_line(error) if isinstance(error, _NATIVE) else type(error).__name__
        raise SpeakingFailed(code, f"{what}: {why}") from error


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error means that the machine has too little memory."""
    return isinstance(error, MemoryError) or any(mark in str(error).lower() for mark in _OUT_OF_MEMORY)


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return (str(error).splitlines() or [""])[0][:300] or type(error).__name__


def samples(sound: NDArray[np.floating[Any]]) -> bytes:
    """Return sound from -1 to 1 as samples of 16 bits, little-endian. Raises `SpeakingFailed` where it is no sound."""
    if not np.isfinite(sound).all():
        raise SpeakingFailed("engine_failed", "the network made numbers that are no sound")
    content: bytes = (np.clip(sound, -1.0, 1.0) * _PEAK).astype("<i2").tobytes()
    return content
