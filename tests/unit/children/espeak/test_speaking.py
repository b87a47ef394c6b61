"""The mouth: a process that speaks in forks, and outlives what they do."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitoolai.children.espeak.speaking import MODULE, Mouth
from minitoolai.children.espeak.utterances import Utterance
from minitoolai.children.report import BootError
from minitoolai.children.speech.synthesis import SpeakingFailed

#: Crashes libespeak-ng 1.52.0: more suffixes than a word's buffer holds.
CRASHES = "s'" * 300


@pytest.fixture(scope="module")
def mouth() -> Iterator[Mouth]:
    """One for all tests that leave it alive."""
    made = Mouth()
    yield made
    made.close()


def said(mouth: Mouth, text: str, voice: str = "gmw/en-US") -> bytes:
    """Return the sound of a text."""
    sound = bytearray()
    mouth.say(Utterance(text, voice, 175, 50), sound.extend)
    return bytes(sound)


def _processes(parent: int) -> list[int]:
    """Return the processes that a process has started and that run."""
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "Z" not in line.split()[1]]


def test_what_it_has(mouth: Mouth) -> None:
    """Voices whose dictionaries are there, and variants."""
    identifiers = {voice.identifier for voice in mouth.inventory.voices}
    assert {"gmw/en-US", "zlw/pl", "sit/cmn", "sem/ar"} <= identifiers
    assert not {"gmq/fo", "trk/kaa", "art/xex"} & identifiers
    assert not any(name.startswith(("!v/", "mb/")) for name in identifiers)
    assert {"!v/f3", "!v/m3"} <= {variant.identifier for variant in mouth.inventory.variants}


def test_a_crash_ends_one_text(mouth: Mouth) -> None:
    """It is told, and others, spoken before it, beside it and after it, are not harmed."""
    before, pid = said(mouth, "Hello, world."), mouth._process.pid
    sounds: list[bytes] = []
    beside = threading.Thread(target=lambda: sounds.append(said(mouth, "A long story. " * 300)))
    beside.start()
    with pytest.raises(SpeakingFailed) as error:
        said(mouth, CRASHES)
    beside.join()
    assert error.value.code == "engine_crashed"
    assert said(mouth, "Hello, world.") == before
    assert mouth._process.pid == pid
    assert len(sounds[0]) > 100 * len(before)


def test_whoever_leaves_stops_it(mouth: Mouth) -> None:
    """What `emit` raises comes out at once, and the fork ends: it has some blocks in hand, not a whole story."""

    class Left(Exception):
        pass

    blocks = 0

    def emit(_: bytes) -> None:
        nonlocal blocks
        blocks += 1
        if blocks == 3:
            raise Left

    with pytest.raises(Left):
        mouth.say(Utterance("A long story. " * 3000, "gmw/en-US", 175, 50), emit)
    assert blocks == 3
    assert said(mouth, "Hello.")
    while _processes(mouth._process.pid):  # a fork that spoke on would take half a second; one that hung, for ever
        pass


def test_nothing_stays_from_one_text_to_the_next(mouth: Mouth) -> None:
    """An element that changes the voice, the pitch or the speed and is left in the middle."""
    before = said(mouth, "Hello, world.")
    marked = Utterance('<speak><prosody rate="300%" pitch="200%" volume="10%">a', "zlw/pl", 100, 90, ssml=True)
    mouth.say(marked, lambda _: None)
    assert said(mouth, "Hello, world.") == before


def test_a_mouth_that_was_killed_is_replaced() -> None:
    """The next text is spoken by another."""
    mouth = Mouth()
    try:
        before = said(mouth, "Hello.")
        mouth._process.kill()
        mouth._process.wait()
        assert said(mouth, "Hello.") == before
    finally:
        mouth.close()


def test_a_voice_that_the_library_does_not_have(mouth: Mouth) -> None:
    """It fails as a crash does; no other voice speaks instead."""
    with pytest.raises(SpeakingFailed):
        said(mouth, "Hello.", "no/such")


def test_it_ends_with_the_other_end(tmp_path: Path) -> None:
    """Signals do not end it: who drains must be able to speak. The end of its standard input does, by status 0."""
    mouth = Mouth()
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(mouth._process.pid, number)
    assert said(mouth, "Hello.")
    mouth.close()
    assert mouth._process.returncode == 0


def test_a_mouth_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end before its first word is told as a start that failed."""
    monkeypatch.setattr("minitoolai.children.espeak.speaking.MODULE", f"{MODULE}.nowhere")
    with pytest.raises(BootError, match="did not start") as error:
        Mouth()
    assert error.value.code == "engine_crashed"
