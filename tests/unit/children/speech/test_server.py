"""The server of children that speak: sound as it is made, turns, callers that leave or take nothing, and failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from queue import Queue

import pytest

from minitoolai.children.speech.server import BEGINNING_S, LEAST_S
from minitoolai.children.speech.synthesis import Emit, Piece, Plan
from minitoolai.core.child_wire import LENGTH, Frames
from minitoolai.core.speech import FORMATS, AudioFormat, SpeechRequest
from minitoolai.core.speech_wire import MAX_FRAME_BYTES, MAX_ORDER_BYTES, Kind, Refusal, characters_of, refusal_of, voices_of
from tests.support.child_process import PATIENCE_S
from tests.support.speaking_child import (
    BREAKS,
    FAILS,
    RATE,
    VOICES,
    Room,
    Tones,
    frames_of,
    heard,
    sound_of,
    sound_s,
    speaking_room,
)

TEXT = "One two three. Four five. Six"
#: Where its pieces end.
ENDS = [14, 25, 29]


class Gate:
    """Holds an engine up before a piece, and after its first letter, until it is told to go on."""

    def __init__(self) -> None:
        self.came: Queue[str] = Queue()
        self._go: Queue[None] = Queue()
        self._opened = threading.Event()

    def __call__(self, piece: Piece) -> None:
        """Hold up."""
        if not self._opened.is_set():
            self.came.put(piece.text)
            self._go.get(timeout=PATIENCE_S)

    def go(self) -> None:
        """Let one go on."""
        self._go.put(None)

    def open(self) -> None:
        """Hold nobody up any more."""
        self._opened.set()
        self.go()


@pytest.fixture
def room() -> Iterator[Room]:
    """A server whose engine is held up by nothing."""
    with speaking_room(Tones()) as made:
        yield made


def kinds(frames: list[tuple[Kind, bytes]]) -> list[Kind]:
    """Return the kinds of frames, one for all that follow each other."""
    found = [kind for kind, _ in frames]
    return [kind for number, kind in enumerate(found) if number == 0 or found[number - 1] is not kind]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_text_is_one_file(room: Room, file_format: AudioFormat) -> None:
    """After the sound of each piece comes how far the text is spoken; all of it decodes as one file, all of it is heard."""
    frames = frames_of(room.order(TEXT, format=file_format))
    told = [characters_of(content) for kind, content in frames if kind is Kind.SPOKEN]
    assert told == [*ENDS, len(TEXT)]
    assert frames[-1] == (Kind.END, b"")
    assert kinds(frames)[:6] == [Kind.AUDIO, Kind.SPOKEN] * 3
    sound = heard(sound_of(frames), file_format)
    assert sound.loud_s == pytest.approx(sound_s(TEXT), abs=0.05)
    assert sound.seconds == pytest.approx(sound_s(TEXT), abs=0.11)


def test_each_piece_is_there_when_it_is_told(room: Room) -> None:
    """Without a codec, that is exactly its sound."""
    seconds, so_far = [], 44
    for kind, content in frames_of(room.order(TEXT, format="wav")):
        if kind is Kind.AUDIO:
            so_far += len(content)
        elif kind is Kind.SPOKEN:
            seconds.append((so_far - 88) / 44100)
    assert seconds == pytest.approx([sound_s(TEXT[:end]) for end in [*ENDS, len(TEXT)]], abs=0.001)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("text", ["!", "…. . 🐢.", "a"])
def test_what_makes_no_sound_is_a_file_all_the_same(room: Room, text: str, file_format: AudioFormat) -> None:
    """A moment of silence, which every decoder opens."""
    frames = frames_of(room.order(text, format=file_format))
    assert [characters_of(content) for kind, content in frames if kind is Kind.SPOKEN][-1] == len(text)
    assert frames[-1][0] is Kind.END
    sound = heard(sound_of(frames), file_format)
    assert LEAST_S - 0.001 <= sound.seconds < 0.3
    assert sound.loud_s == pytest.approx(sound_s(text), abs=0.03)


def test_the_first_sound_goes_out_while_it_is_made() -> None:
    """The caller hears the first letter before the engine has gone on to the second."""
    gate = Gate()
    with speaking_room(Tones(before=gate)) as room:
        connection = room.order(TEXT, format="wav")
        gate.go()
        assert [gate.came.get(timeout=PATIENCE_S) for _ in range(2)] == ["One two three."] * 2
        kind, content = Frames(Kind, MAX_FRAME_BYTES).receive(connection.recv(65536))[0]
        assert (kind, content[:4]) == (Kind.AUDIO, b"RIFF")
        gate.open()
        assert frames_of(connection)[-1][0] is Kind.END


class AtOnce(Tones):
    """Makes the sound of a whole piece at once, and is held up then."""

    def say(self, request: SpeechRequest, plan: Plan, piece: Piece, emit: Emit) -> None:
        """Speak a piece."""
        emit(bytes(round(2 * plan.rate * sound_s(piece.text))))
        self.before(piece)


def test_only_the_beginning_is_written_while_it_is_made() -> None:
    """Of five seconds that are there at once the first half: writing the others keeps nobody from beginning."""
    gate = Gate()
    with speaking_room(AtOnce(before=gate)) as room:
        connection = room.order("x" * 100, format="wav")
        gate.came.get(timeout=PATIENCE_S)
        frames, beginning = Frames(Kind, MAX_FRAME_BYTES), b""
        connection.settimeout(0.1)
        with suppress(TimeoutError):  # nothing more comes while the engine is held up
            while True:
                beginning += sound_of(frames.receive(connection.recv(65536)))
        assert len(beginning) == 44 + 2 * round(RATE * BEGINNING_S)
        connection.settimeout(PATIENCE_S)
        gate.open()
        assert len(beginning + sound_of(frames_of(connection))) == 44 + 2 * round(RATE * 5.0)


def test_a_newcomer_is_heard_before_a_long_text_goes_on() -> None:
    """One engine, one at a time: whoever comes in the middle of 100 sentences does not wait for their end."""
    gate = Gate()
    engine = Tones(before=gate)
    with speaking_room(engine) as room:
        long = room.order("a." * 100)
        assert gate.came.get(timeout=PATIENCE_S) == "a."
        late = room.order("b.")
        while "b." not in engine.begun and len(engine.begun) < 100:
            time.sleep(0.01)  # his thread takes a moment to stand in line
            gate.go()
            gate.came.get(timeout=PATIENCE_S)
        gate.open()
        assert frames_of(late)[-1][0] is Kind.END
        assert frames_of(long)[-1][0] is Kind.END
    assert engine.begun.index("b.") < 100


def test_several_speak_side_by_side() -> None:
    """As many as the engine says."""
    gate = Gate()
    with speaking_room(Tones(2, before=gate)) as room:
        connections = [room.order(text) for text in ("a.", "b.", "c.")]
        assert {gate.came.get(timeout=PATIENCE_S) for _ in range(2)} <= {"a.", "b.", "c."}
        assert gate.came.empty()
        gate.open()
        gate.go()
        assert all(frames_of(connection)[-1][0] is Kind.END for connection in connections)


@pytest.mark.parametrize("text", ["x" * 400, "x" * 400 + ". " + "y" * 400, "x." * 400])
def test_who_takes_nothing_holds_nobody_up(room: Room, text: str) -> None:
    """His piece is spoken, its sound waits for him; the next caller is answered. Later he gets all of it."""
    slow = room.order(text, format="wav")
    for _ in range(3):
        assert frames_of(room.order(TEXT))[-1][0] is Kind.END
    frames = frames_of(slow)
    assert frames[-1][0] is Kind.END
    assert heard(sound_of(frames), "wav").loud_s == pytest.approx(sound_s(text), abs=0.1)


@pytest.mark.parametrize("where", ["first piece", "later piece"])
def test_a_caller_that_leaves_ends_his_piece(where: str) -> None:
    """The engine is stopped in the middle of it, and the rest of the text is not begun."""
    gate = Gate()
    text = ("a. " if where == "later piece" else "") + "b" * 100_000 + ". c."
    engine = Tones(before=gate)
    with speaking_room(engine) as room:
        leaving = room.order(text[:99_000])
        for _ in range(2 if where == "later piece" else 0):
            gate.came.get(timeout=PATIENCE_S)
            gate.go()
        gate.came.get(timeout=PATIENCE_S)
        leaving.close()
        gate.open()
        assert frames_of(room.order("d."))[-1][0] is Kind.END
    assert engine.begun[-1] == "d."
    assert len(engine.cut) == 1
    assert len(engine.begun) == (3 if where == "later piece" else 2)


def test_who_left_before_his_turn_is_skipped() -> None:
    """Nothing is spoken for him."""
    gate = Gate()
    engine = Tones(before=gate)
    with speaking_room(engine) as room:
        first = room.order("a.")
        assert gate.came.get(timeout=PATIENCE_S) == "a."
        room.order("b.").close()
        third = room.order("c.")
        gate.open()
        assert frames_of(first)[-1][0] is Kind.END
        assert frames_of(third)[-1][0] is Kind.END
    assert engine.begun == ["a.", "c."]


def test_what_is_never_spoken_is_refused(room: Room) -> None:
    """With the field and what to send instead, before any sound."""
    (frame,) = frames_of(room.order(TEXT, voice="nobody"))
    assert frame[0] is Kind.REFUSED
    assert refusal_of(frame[1]) == Refusal("voice", "there is no voice 'nobody'. Choose low or high.")


def test_the_voices_are_listed(room: Room) -> None:
    """In one frame."""
    (frame,) = frames_of(room.voices())
    assert frame[0] is Kind.VOICES
    assert voices_of(frame[1]) == VOICES


@pytest.mark.parametrize(
    ("word", "code", "said"), [(FAILS, b"out_of_memory", "there is no room"), (BREAKS, b"engine_failed", "ValueError")]
)
@pytest.mark.parametrize("before", ["", "Heard. "])
def test_a_failure_is_told_by_its_code(
    room: Room, capfd: pytest.CaptureFixture[str], before: str, word: str, code: bytes, said: str
) -> None:
    """After what was spoken by then. Why stands in the log, the caller's text does not; the next call is spoken."""
    frames = frames_of(room.order(f"{before}It {word} secretly."))
    assert frames[-1] == (Kind.FAILED, code)
    assert [characters_of(content) for kind, content in frames if kind is Kind.SPOKEN] == ([6] if before else [])
    log = capfd.readouterr().err
    assert said in log
    assert log.startswith("tests: ")
    assert "secretly" not in log
    assert frames_of(room.order(TEXT))[-1][0] is Kind.END


@pytest.mark.parametrize(
    "content",
    [LENGTH.pack(4) + b"nope", LENGTH.pack(MAX_ORDER_BYTES + 1), LENGTH.pack(2) + b"{}"],
)
def test_what_is_no_order_is_answered(room: Room, capfd: pytest.CaptureFixture[str], content: bytes) -> None:
    """Nothing is spoken for it; the next call is."""
    assert frames_of(room.send(content)) == [(Kind.FAILED, b"order_invalid")]
    assert "cannot be read" in capfd.readouterr().err
    assert frames_of(room.order(TEXT))[-1][0] is Kind.END


def test_twenty_callers_get_their_own(room: Room) -> None:
    """Side by side, each the sound of his own text."""
    texts = ["a" * (number + 1) + "." for number in range(20)]
    connections = [room.order(text, format="wav") for text in texts]
    seconds = [heard(sound_of(frames_of(connection)), "wav").loud_s for connection in connections]
    assert seconds == pytest.approx([sound_s(text) for text in texts], abs=0.05)
