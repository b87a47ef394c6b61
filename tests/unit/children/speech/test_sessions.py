"""Threads, failures and samples of voices' networks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from minitoolai.children.speech.sessions import ERRORS, Threads, failures, open_session, samples
from minitoolai.children.speech.synthesis import SpeakingFailed


@pytest.mark.parametrize(
    ("cores", "threads", "shared"),
    [(1, None, (1, 1)), (2, None, (2, 1)), (4, None, (4, 1)), (16, None, (4, 4)), (16, 2, (2, 8)), (2, 8, (8, 1))],
)
def test_how_cores_are_shared(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int | None, shared: tuple[int, int]
) -> None:
    """Few threads a piece, and as many pieces as there are cores for."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    assert Threads.of(threads) == Threads(*shared)


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    """onnxruntime's own errors are among those that are told apart."""
    (tmp_path / "a.onnx").write_bytes(b"no network")
    with pytest.raises(ERRORS):
        open_session(tmp_path / "a.onnx", 1)
    with pytest.raises(SpeakingFailed, match=r"the voice a: .*INVALID_PROTOBUF") as failed, failures("the voice a"):
        open_session(tmp_path / "a.onnx", 1)
    assert failed.value.code == "engine_failed"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"), (RuntimeError("Failed to allocate memory"), "out_of_memory"),
        (ValueError("the caller's text"), "engine_failed"),
    ],
)  # fmt: skip
def test_failures(error: Exception, code: str) -> None:
    """Too little memory is told from the rest, and no text of a caller's gets into the log."""
    with pytest.raises(SpeakingFailed, match=f"the voice a: {type(error).__name__}$") as failed, failures("the voice a"):
        raise error
    assert failed.value.code == code


def test_samples() -> None:
    """Numbers from -1 to 1 are samples of 16 bits; what is louder is as loud as can be, and what is no number fails."""
    loud = np.array([0.0, 1.0, -1.0, 7.0, -7.0, 0.5], np.float32)
    assert np.frombuffer(samples(loud), "<i2").tolist() == [0, 32767, -32767, 32767, -32767, 16383]
    with pytest.raises(SpeakingFailed, match="no sound"):
        samples(np.array([0.0, np.nan], np.float32))
