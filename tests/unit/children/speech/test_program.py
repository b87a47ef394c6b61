"""A child that speaks as a process: how its life begins and ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minitoolai.core.child_wire import HEAD, order_bytes
from minitoolai.core.speech import SpeechRequest
from minitoolai.core.speech_wire import Kind, SpeechOrder
from tests.support.child_process import PATIENCE_S, ChildProcess, assert_ends_with_its_parent
from tests.support.llama_child import short_folder
from tests.support.speaking_child import MODULE, VOICES, frames_of, heard, sound_of, sound_s

ORDER = order_bytes(SpeechOrder(SpeechRequest("Hello there.", format="flac")))
#: Needs a package that nobody has.
_LACKS = """
from minitoolai.children.speech.boot import SpeechBoot
from minitoolai.children.speech.program import live_speech

def load(boot):
    import a_package_that_is_not_there

live_speech("lacking", SpeechBoot, load, extra="espeak")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with short_folder() as path:
        yield path


@contextmanager
def child(folder: Path) -> Iterator[ChildProcess]:
    """A child that was started, ended afterwards."""
    started = ChildProcess(MODULE, {"socket": str(folder / "s.sock")}, folder / "s.sock", folder / "stderr")
    try:
        yield started
    finally:
        started.end()


def test_it_speaks(folder: Path) -> None:
    """`ready` says what it has, its engine's own facts among them; then it takes orders."""
    with child(folder) as started:
        ready = started.started()
        load_s = ready.pop("load_s")
        network = ready.pop("network")
        assert ready == {"event": "ready", "voices": len(VOICES), "parallel": 1, "kind": "tones"}
        assert load_s >= 0
        assert network in (False, True)
        frames = frames_of(started.open(ORDER))
        assert frames[-1][0] is Kind.END
        assert heard(sound_of(frames), "flac").seconds == pytest.approx(sound_s("Hello there."), abs=0.001)


def test_sigterm_ends_it_with_0_and_removes_the_socket(folder: Path) -> None:
    """Also in the middle of a text."""
    with child(folder) as started:
        started.started()
        order = order_bytes(SpeechOrder(SpeechRequest("x" * 99_000, format="wav")))
        with started.open(order) as speaking:
            assert speaking.recv(HEAD.size)
            started.process.send_signal(signal.SIGTERM)
            assert started.process.wait(PATIENCE_S) == 0
        assert not started.socket.exists()


def test_it_does_not_outlive_a_killed_parent(folder: Path) -> None:
    """kill -9 of the parent: nobody is left to stop it but itself."""
    assert_ends_with_its_parent(MODULE, {"socket": str(folder / "s.sock")}, PATIENCE_S)


def test_a_package_that_lacks_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    (folder / "lacking.py").write_text(_LACKS)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    started = ChildProcess("lacking", {"socket": str(folder / "s.sock")}, folder / "s.sock", folder / "stderr")
    try:
        failed = started.started()
        assert (failed["event"], failed["code"]) == ("failed", "engine_missing")
        assert "pip install 'minitoolai[espeak]'" in failed["message"]
        assert "a_package_that_is_not_there" in failed["message"]
        assert started.process.wait(PATIENCE_S) == 1
    finally:
        started.end()
