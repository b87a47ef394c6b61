"""The child that speaks with espeak-ng as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from minitoolai.core.child_wire import HEAD, order_bytes
from minitoolai.core.speech import FORMATS, AudioFormat, SpeechRequest
from minitoolai.core.speech_wire import Kind, SpeechOrder, VoicesOrder, characters_of, refusal_of, voices_of
from tests.support.child_process import PATIENCE_S, ChildProcess, assert_ends_with_its_parent
from tests.support.llama_child import short_folder
from tests.support.speaking_child import frames_of, heard, sound_of

MODULE = "minitoolai.children.espeak"
#: Crashes libespeak-ng in spite of all cleaning, as random texts have shown: spoken, or failed, never the end.
CRASHES = "<speak><p>" + "x'" * 200 + "</p></speak>"


@contextmanager
def child(folder: Path, **boot: Any) -> Iterator[ChildProcess]:
    """A child, ended afterwards."""
    document = {"socket": str(folder / "e.sock"), **boot}
    started = ChildProcess(MODULE, document, folder / "e.sock", folder / "stderr")
    try:
        yield started
    finally:
        started.end()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with short_folder() as path:
        yield path


@pytest.fixture(scope="module")
def speaking() -> Iterator[ChildProcess]:
    """One child for all tests that only ask."""
    with short_folder() as path, child(path, parallel=2) as started:
        ready = started.started()
        assert ready["event"] == "ready", ready
        assert (ready["parallel"], ready["voices"] > 100) == (2, True)
        assert ready["version"]
        yield started


def asked(child: ChildProcess, text: str, **fields: Any) -> list[tuple[Kind, bytes]]:
    """Return all frames that a text brings."""
    return frames_of(child.open(order_bytes(SpeechOrder(SpeechRequest(text, **fields)))))


def mouth_of(child: ChildProcess) -> int:
    """Return the process that holds the library: the only one that the child has started."""
    command = ["ps", "-o", "pid=", "--ppid", str(child.process.pid)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def is_running(pid: int) -> bool:
    """Whether a process runs, and does not only wait to be collected."""
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return state not in ("", "Z")


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format(speaking: ChildProcess, file_format: AudioFormat) -> None:
    """The sound file has the length of the speech, in each format."""
    frames = asked(speaking, "Dzień dobry. Miło mi!", format=file_format)
    assert [characters_of(content) for kind, content in frames if kind is Kind.SPOKEN] == [13, 21, 21]
    assert frames[-1] == (Kind.END, b"")
    lossless = heard(sound_of(asked(speaking, "Dzień dobry. Miło mi!", format="wav")), "wav")
    assert heard(sound_of(frames), file_format).seconds == pytest.approx(lossless.seconds, abs=0.2)
    assert 1 < lossless.seconds < 3


def test_voices_and_refusals(speaking: ChildProcess) -> None:
    """What the child has, and a voice that it does not have."""
    ((_, listed),) = frames_of(speaking.open(order_bytes(VoicesOrder())))
    assert {"pl", "en-us", "cmn"} <= {voice.id for voice in voices_of(listed)}
    ((kind, content),) = asked(speaking, "Hello", voice="polsih")
    assert kind is Kind.REFUSED
    assert (refusal_of(content).field, "Did you mean 'pl'?" in refusal_of(content).why) == ("voice", True)


def test_a_crash_of_the_library_is_not_the_childs(speaking: ChildProcess) -> None:
    """Whatever a text does to the library, the next one is spoken by the same process."""
    for text, ssml in ((CRASHES, True), ("s'" * 2000, False), (",{-\u0338 w", False)):
        assert asked(speaking, text, ssml=ssml, format="pcm")[-1][0] in (Kind.END, Kind.FAILED)
    assert asked(speaking, "Hello")[-1][0] is Kind.END
    assert speaking.process.poll() is None


def test_a_mouth_that_was_killed(speaking: ChildProcess) -> None:
    """The next text is spoken by another, without a new child."""
    os.kill(mouth_of(speaking), signal.SIGKILL)
    assert asked(speaking, "Hello")[-1][0] is Kind.END
    assert asked(speaking, "Hello")[-1][0] is Kind.END


def test_a_caller_that_leaves_is_forgotten(speaking: ChildProcess) -> None:
    """In the middle of a text; the next one is spoken."""
    leaving = speaking.open(order_bytes(SpeechOrder(SpeechRequest("A long story. " * 5000, format="pcm"))))
    assert leaving.recv(HEAD.size)
    leaving.close()
    assert asked(speaking, "Hello")[-1][0] is Kind.END


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are Linux's: the network is NOT CUT HERE")
def test_it_has_no_network(speaking: ChildProcess) -> None:
    """Nor has the mouth, where the kernel allows it."""
    probe = "from minitoolai.children.isolation import cut_network; print(cut_network())"
    allowed = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
    pids = (speaking.process.pid, mouth_of(speaking))
    mine, *theirs = (os.readlink(f"/proc/{pid}/ns/net") for pid in (os.getpid(), *pids))
    assert theirs[0] == theirs[1]
    assert (mine != theirs[0]) is (allowed == "True")


def test_sigterm_ends_all_of_it(folder: Path) -> None:
    """With status 0, in the middle of a text; the mouth goes with it, and the socket."""
    with child(folder) as started:
        assert started.started()["event"] == "ready"
        mouth = mouth_of(started)
        with started.open(order_bytes(SpeechOrder(SpeechRequest("A long story. " * 5000)))) as connection:
            assert connection.recv(HEAD.size)
            started.process.send_signal(signal.SIGTERM)
            assert started.process.wait(PATIENCE_S) == 0
        deadline = time.monotonic() + PATIENCE_S
        while is_running(mouth):
            assert time.monotonic() < deadline, "the mouth lives on"
            time.sleep(0.01)
        assert not started.socket.exists()


def test_it_ends_with_its_parent(folder: Path) -> None:
    """A child whose parent is killed ends by itself."""
    assert_ends_with_its_parent(MODULE, {"socket": str(folder / "e.sock")}, PATIENCE_S)


def test_a_start_that_fails(folder: Path) -> None:
    """What cannot start says why, and ends with status 1."""
    with child(folder, parallel=0) as started:
        event = started.started()
        assert (event["event"], event["code"]) == ("failed", "boot_invalid")
        assert started.process.wait(PATIENCE_S) == 1
