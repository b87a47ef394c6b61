"""A child that speaks as tests run it: an engine of tones in place of voices, its server in threads, and as a process."""

from __future__ import annotations

import math
import os
import socket
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import av

from minitoolai.children.speech import server
from minitoolai.children.speech.boot import SpeechBoot
from minitoolai.children.speech.program import Facts, live_speech
from minitoolai.children.speech.synthesis import Emit, Piece, Plan, Refused, SpeakingFailed, Synthesizer
from minitoolai.core.child_wire import Frames, order_bytes
from minitoolai.core.speech import PCM_RATE, AudioFormat, SpeechRequest, Voice
from minitoolai.core.speech_wire import MAX_FRAME_BYTES, Kind, SpeechOrder, VoicesOrder
from tests.support.child_process import PATIENCE_S
from tests.support.llama_child import short_folder

MODULE = "tests.support.speaking_child"
RATE = 22050
#: Seconds of tone for a letter or figure; all else is not heard.
LETTER_S = 0.05
VOICES = [Voice("low", "Low", "en-GB", "male"), Voice("high", "High", "pl", "female")]
#: What the engine fails at, where it stands in a piece.
FAILS, BREAKS = "fails", "breaks"

_LETTER = round(RATE * LETTER_S)
_TONE = array("h", (round(8000 * math.sin(math.tau * 440 * each / RATE)) for each in range(_LETTER))).tobytes()


def sound_s(text: str) -> float:
    """Return how many seconds of sound a text makes."""
    return sum(each.isalnum() for each in text) * LETTER_S


class Tones:
    """An engine (`children.speech.synthesis.Synthesizer`): a tone for each letter. A piece ends with each full stop."""

    def __init__(self, parallel: int = 1, *, before: Callable[[Piece], None] = lambda _piece: None) -> None:
        """`before` is called before each piece, and again after its first letter."""
        self.parallel = parallel
        self.before = before
        #: The texts of the pieces that were begun, and of those that `emit` ended.
        self.begun: list[str] = []
        self.cut: list[str] = []

    def voices(self) -> list[Voice]:
        """Return two."""
        return VOICES

    def plan(self, request: SpeechRequest) -> Plan:
        """Cut a text after its full stops; refuse a voice that there is not."""
        voice = request.voice or "low"
        if voice not in [each.id for each in VOICES]:
            raise Refused("voice", f"there is no voice '{voice}'. Choose low or high.")
        pieces, start = [], 0
        while start < len(request.text):
            end = request.text.find(".", start) + 1 or len(request.text)
            pieces.append(Piece(request.text[start:end], end))
            start = end
        return Plan(voice, RATE, pieces)

    def say(self, _request: SpeechRequest, _plan: Plan, piece: Piece, emit: Emit) -> None:
        """Speak a piece, letter by letter."""
        self.begun.append(piece.text)
        self.before(piece)
        if FAILS in piece.text:
            raise SpeakingFailed("out_of_memory", "there is no room")
        if BREAKS in piece.text:
            raise ValueError(f"nobody thought of {piece.text}")
        try:
            emit(b"")
            for number, letter in enumerate(piece.text):
                if letter.isalnum():
                    emit(_TONE)
                if number == 0:
                    self.before(piece)
        except BaseException:
            self.cut.append(piece.text)
            raise


class Room:
    """A server in threads of this process, and who asks it."""

    def __init__(self, path: Path, synthesizer: Synthesizer) -> None:
        self.path = str(path)
        server.serve(self.path, synthesizer, "tests")

    def send(self, content: bytes) -> socket.socket:
        """Open a connection and send bytes."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        connection.connect(self.path)
        connection.sendall(content)
        return connection

    def order(self, text: str, *, urgent: bool = True, **fields: Any) -> socket.socket:
        """Order a text to be spoken."""
        return self.send(order_bytes(SpeechOrder(SpeechRequest(text, **fields), urgent)))

    def voices(self) -> socket.socket:
        """Ask which voices there are."""
        return self.send(order_bytes(VoicesOrder()))


@contextmanager
def speaking_room(synthesizer: Synthesizer) -> Iterator[Room]:
    """A server at a short path; what it does to the process's mask is undone."""
    before = os.umask(0o022)
    with short_folder() as folder:
        yield Room(folder / "s.sock", synthesizer)
    os.umask(before)


def frames_of(connection: socket.socket) -> list[tuple[Kind, bytes]]:
    """Return all frames until the end."""
    frames, found = Frames(Kind, MAX_FRAME_BYTES), []
    with connection:
        while data := connection.recv(65536):
            found += frames.receive(data)
    return found


def sound_of(frames: list[tuple[Kind, bytes]]) -> bytes:
    """Return the sound file that frames hold."""
    return b"".join(content for kind, content in frames if kind is Kind.AUDIO)


@dataclass(frozen=True)
class Heard:
    """What a decoder makes of a sound file."""

    rate: int
    channels: int
    #: 16-bit samples.
    samples: array[int]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate

    @property
    def loud_s(self) -> float:
        """Seconds of it that are not silent, by steps of 10 ms."""
        step = self.rate // 100
        starts = range(0, len(self.samples), step)
        return 0.01 * sum(max(map(abs, self.samples[start : start + step])) > 500 for start in starts)


def heard(sound: bytes, file_format: AudioFormat) -> Heard:
    """Decode a sound file as an independent reader does (FFmpeg)."""
    if file_format == "pcm":
        return Heard(PCM_RATE, 1, array("h", sound))
    samples = array("h")
    with av.open(BytesIO(sound), "r") as file:
        stream = file.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout="mono", rate=stream.rate)
        for frame in file.decode(stream):
            for each in resampler.resample(frame):
                samples.frombytes(bytes(each.planes[0])[: 2 * each.samples])
        return Heard(stream.rate, stream.channels, samples)


def load(_boot: SpeechBoot) -> tuple[Synthesizer, Facts]:
    """Return the engine of the process."""
    return Tones(), {"kind": "tones"}


if __name__ == "__main__":
    live_speech(MODULE, SpeechBoot, load, extra="espeak")
