"""The sounds child: how long it says that sounds are, what it refuses, and how little a bad file can do."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitoolai.children.sounds import milliseconds
from minitoolai.core.child_wire import LENGTH
from minitoolai.core.sound_wire import Verdict
from minitoolai.core.transcription import MAX_SOUND_BYTES
from tests.support.llama_child import short_folder
from tests.support.looking_child import PATIENCE_S, request
from tests.support.sounds import AROUND_MS, KINDS, film, flac_bomb, hurried, sound, tagged, two_tracks, wav
from tests.support.sounds_child import SoundsChild, sounds_child

#: A file that a decoder would follow, were it asked as what it is.
SECRET = "file:///etc/passwd"


@pytest.fixture(scope="module")
def child() -> Iterator[SoundsChild]:
    """One child for all tests that only ask."""
    with short_folder() as folder, sounds_child(folder) as started:
        ready = started.started()
        assert ready["event"] == "ready", ready
        yield started


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_every_format_is_measured(child: SoundsChild, kind: str, seconds: float) -> None:
    """As long as the tone in it, and what its encoder puts around that."""
    found = child.ask(sound(kind, seconds))
    assert isinstance(found, int)
    assert seconds * 1000 <= found <= seconds * 1000 + AROUND_MS


def test_a_part_of_a_millisecond_is_one(child: SoundsChild) -> None:
    """Rounded up."""
    assert [child.ask(wav(bytes(size))) for size in (1, 8, 9, 8000)] == [1, 1, 2, 1000]


@pytest.mark.parametrize("says", [0xFFFFFFFF, 100_000_000, 0x7FFFFFFF])
def test_a_head_that_says_too_much(child: SoundsChild, says: int) -> None:
    """What is there is measured: a file that was streamed says that it has four gigabytes."""
    assert child.ask(wav(bytes(16_000), says=says)) == 2000


@pytest.mark.parametrize("kind", ["mp4", "m4a", "mp4 of alac", "mp4 of flac", "mp4 of opus"])
def test_a_head_that_says_too_little(child: SoundsChild, kind: str) -> None:
    """A decoder plays each packet as long as it is, whatever its container says."""
    honest, hurry = child.ask(sound(kind, 3.0)), child.ask(hurried(sound(kind, 3.0)))
    assert isinstance(honest, int)
    assert isinstance(hurry, int)
    assert honest >= 3000
    assert honest <= hurry <= honest + AROUND_MS * 3


def test_the_longest_of_several_tracks(child: SoundsChild) -> None:
    """Whichever an engine takes, it is not longer."""
    for seconds in ((0.5, 3.0), (3.0, 0.5)):
        found = child.ask(two_tracks(*seconds))
        assert isinstance(found, int)
        assert 3000 <= found <= 3000 + AROUND_MS


@pytest.mark.parametrize("kind", ["flac", "mp3"])
def test_tags_before_the_sound(child: SoundsChild, kind: str) -> None:
    """However long; two behind each other too."""
    plain = child.ask(sound(kind))
    assert isinstance(plain, int)
    assert child.ask(tagged(tagged(sound(kind), 100_000))) == plain


def test_a_sound_that_is_cut_short(child: SoundsChild) -> None:
    """What came of it is measured, where its format allows that."""
    for kind in ("mp3", "ogg", "webm", "flac", "wav", "mpeg"):
        whole = sound(kind, 30.0)
        found = child.ask(whole[: len(whole) // 2])
        assert isinstance(found, int), kind
        assert 14_000 < found < 16_000, kind
    assert child.ask(sound("mp4", 3.0)[:5000]) is Verdict.DAMAGED


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xfb", b"fLaC", b"OggS", b"RIFF", wav(b""), bytes(1000), b"\xff\xfb" * 1000, b"ID3",
        b"ID3\x04\0\0\0\0\0\0", sound("flac")[:90], sound("webm")[:90], b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\x89PNG\r\n\x1a\n" + bytes(99),
        b"GIF89a" + bytes(99), b"PK\x03\x04" + bytes(99), b"%PDF-1.7", sound("wav")[100:], film(),
    ],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_what_is_no_sound(child: SoundsChild, data: bytes) -> None:
    """Empty, cut off in its head, a picture, an archive, a film without sound."""
    assert child.ask(data) is Verdict.DAMAGED


@pytest.mark.parametrize(
    "text",
    [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{SECRET}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {SECRET}\n",
        f"[playlist]\nFile1={SECRET}\n",
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\na=control:{SECRET}\n",
        f"<?xml version='1.0'?><MPD><Period><AdaptationSet><BaseURL>{SECRET}</BaseURL></AdaptationSet></Period></MPD>",
        f"<asx version='3.0'><entry><ref href='{SECRET}'/></entry></asx>",
    ],
    ids=["m3u8", "ffconcat", "pls", "sdp", "mpd", "asx"],
)
@pytest.mark.parametrize("dress", [bytes, tagged], ids=["plain", "behind a tag"])
def test_files_that_name_other_files(child: SoundsChild, text: str, dress: type[bytes]) -> None:
    """None of them is ever taken for what it is."""
    assert child.ask(dress(text.encode())) is Verdict.DAMAGED


def test_a_playlist_of_a_real_sound_is_not_followed(child: SoundsChild, tmp_path: Path) -> None:
    """Nor where the file that it names is a sound."""
    (tmp_path / "a.wav").write_bytes(sound("wav"))
    listed = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path}/a.wav\n#EXT-X-ENDLIST\n"
    for given in (listed.encode(), tagged(listed.encode()), b"\xff\xfb\x90\x00" + listed.encode()):
        assert not isinstance(found := child.ask(given), int) or found < 100


@pytest.mark.parametrize(
    "data",
    [
        bytes(MAX_SOUND_BYTES), b"\xff\xfb\x90\x00" + bytes(MAX_SOUND_BYTES - 4), b"OggS" * (MAX_SOUND_BYTES // 4),
        b"\x1a\x45\xdf\xa3" + b"\xff" * 1_000_000, b"\0\0\0\x18ftypmp42" + b"\0\0\0\x08free" * 1_000_000,
        b"fLaC" * (MAX_SOUND_BYTES // 4), b"\0\0\x01\xba" * (MAX_SOUND_BYTES // 4),
    ],
    ids=["zeros", "mp3 of zeros", "endless ogg", "webm", "mp4 of nothing", "flac of heads", "mpeg of heads"],
)  # fmt: skip
def test_large_files_of_nothing(child: SoundsChild, data: bytes) -> None:
    """They cost some seconds of one fork at most, and say nothing long."""
    found = child.ask(data)
    assert found in (Verdict.DAMAGED, Verdict.TOO_LONG) or (isinstance(found, int) and found < 100)
    assert child.ask(sound("wav")) == 1000


def test_days_of_silence(child: SoundsChild) -> None:
    """A small file that plays for days is refused."""
    assert len(flac_bomb()) <= MAX_SOUND_BYTES
    assert child.ask(flac_bomb()) is Verdict.TOO_LONG


def test_the_largest_sound(child: SoundsChild) -> None:
    """25 MiB that are measured; a byte more is not read."""
    largest = wav(bytes(MAX_SOUND_BYTES - 44))
    assert len(largest) == MAX_SOUND_BYTES
    assert child.ask(largest) == -(-(MAX_SOUND_BYTES - 44) // 8)
    with child.open(LENGTH.pack(MAX_SOUND_BYTES + 1)) as connection:
        assert connection.recv(1) == bytes([Verdict.TOO_LONG])


def test_nothing_of_a_sound_is_written(child: SoundsChild) -> None:
    """FFmpeg's words about a file stay inside; what is measured here is what is measured there."""
    assert milliseconds(sound("ogg")) == child.ask(sound("ogg"))
    errors = (child.socket.parent / "stderr").read_text()
    assert "passwd" not in errors


def test_a_caller_that_leaves(child: SoundsChild) -> None:
    """Half a request leaves no fork behind."""
    child.open(request(sound())[:40]).close()
    child.until_idle()
    assert child.ask(sound()) == 1000


@pytest.mark.parametrize(
    ("number", "answer"),
    [(signal.SIGSEGV, bytes([Verdict.DAMAGED])), (signal.SIGXCPU, bytes([Verdict.TOO_LONG])), (signal.SIGKILL, b"")],
)
def test_a_fork_that_dies(child: SoundsChild, number: signal.Signals, answer: bytes) -> None:
    """Dead of its sound it is answered for; killed it is not. The others live on."""
    child.until_idle()
    with child.open(LENGTH.pack(1000)) as connection:
        deadline = time.monotonic() + PATIENCE_S
        while not child.forks() and time.monotonic() < deadline:
            time.sleep(0.005)
        (pid,) = child.forks()
        os.kill(pid, number)
        with contextlib.suppress(ConnectionResetError):  # how an end without an answer may look as well
            assert connection.recv(1) == answer
    assert child.ask(sound()) == 1000


@pytest.mark.parametrize("boot", [[], {}, {"socket": 5}, {"socket": "x" * 200}, {"socket": "x", "more": 1}])
def test_a_bad_boot_document(boot: object) -> None:
    """It says what is wrong, and ends."""
    with short_folder() as folder, sounds_child(folder, boot) as started:
        failed = started.started()
        assert (failed["event"], failed["code"]) == ("failed", "boot_invalid")
        assert started.process.wait(PATIENCE_S) == 1


def test_it_leaves_when_told(child: SoundsChild) -> None:
    """SIGTERM removes the socket, which is for this user alone."""
    assert child.socket.stat().st_mode & 0o077 == 0
    with short_folder() as folder, sounds_child(folder) as started:
        started.started()
        started.process.terminate()
        assert started.process.wait(PATIENCE_S) == 0
        assert not started.socket.exists()
