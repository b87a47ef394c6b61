"""The child that speaks by itself: started, asked through its Unix socket, and ended."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import Spent, spent, tree
from minitoolai.core.child_wire import Frames, order_bytes
from minitoolai.core.speech import FORMATS, PCM_RATE, SpeechRequest
from minitoolai.core.speech_wire import MAX_FRAME_BYTES, Kind, SpeechOrder

#: Seconds in which it says something.
PATIENCE_S = 60.0
#: Two sentences in each language, of about the same length, numbers included.
TEXTS = {
    "en": "The ship left the harbour at 7 in the morning, and nobody on the shore waved. Three days later it came back.",
    "pl": "Statek wypłynął z portu o 7 rano i nikt na brzegu nie pomachał. Trzy dni później wrócił z pełną ładownią ryb.",
    "de": "Das Schiff verließ den Hafen um 7 Uhr morgens, und niemand am Ufer winkte. Drei Tage später kam es zurück.",
    "fr": "Le navire a quitté le port à 7 heures du matin, et personne n'a fait signe. Trois jours après, il est revenu.",
    "es": "El barco salió del puerto a las 7 de la mañana y nadie saludó desde la orilla. Tres días después regresó.",
    "uk": "Корабель вийшов із порту о 7 годині ранку, і ніхто на березі не помахав. Через три дні він повернувся.",
    "zh": "轮船早上七点离开了港口，岸上没有人挥手。三天以后它又回来了，船舱里装满了鱼，船员们都很高兴，大家一起吃了晚饭。",
    "ar": "غادرت السفينة الميناء في الساعة 7 صباحا ولم يلوح أحد من الشاطئ. وبعد ثلاثة أيام عادت محملة بالأسماك.",
}
#: What is left in the middle: spoken slowly, half a minute of sound in one sentence.
LEFT = "one word after another is spoken slowly and there is no end of it " * 3


@dataclass(frozen=True, slots=True)
class Heard:
    """What one call gave, in seconds from its order; `size`: bytes of the sound file."""

    first_s: float
    whole_s: float
    size: int


class Child:
    """A running child."""

    def __init__(self, path: str, pid: int, start_s: float) -> None:
        self._path = path
        self._pid = pid
        #: From its start until it was ready.
        self.start_s = start_s

    def used(self) -> Spent:
        """Return what its processes have used; forks that have ended are not among them."""
        return spent(tree(self._pid))

    def call(self, text: str, **fields: Any) -> Heard:
        """Have a text spoken to its end. Raises `RuntimeError` where it is not."""
        began, first, size = time.perf_counter(), 0.0, 0
        frames, last = Frames(Kind, MAX_FRAME_BYTES), None
        with self._ordered(text, **fields) as connection:
            while data := connection.recv(65536):
                for kind, content in frames.receive(data):
                    last = kind
                    if kind is Kind.AUDIO:
                        first = first or time.perf_counter() - began
                        size += len(content)
        if last is not Kind.END:
            raise RuntimeError(f"it did not speak: {last}")
        return Heard(first, time.perf_counter() - began, size)

    def leave(self, text: str, **fields: Any) -> None:
        """Have a text spoken, and close the connection at the first sound."""
        frames = Frames(Kind, MAX_FRAME_BYTES)
        with self._ordered(text, **fields) as connection:
            while all(kind is not Kind.AUDIO for kind, _ in frames.receive(connection.recv(65536))):
                pass

    def _ordered(self, text: str, **fields: Any) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        connection.connect(self._path)
        connection.sendall(order_bytes(SpeechOrder(SpeechRequest(text, **fields))))
        return connection


@contextmanager
def started(module: str, **boot: object) -> Iterator[Child]:
    """Run a child; `boot`: fields of its boot document. Raises `RuntimeError` where it does not start."""
    with tempfile.TemporaryDirectory(prefix="speech-") as folder:
        path = str(Path(folder) / "s")
        began = time.perf_counter()
        with subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps({"socket": path, **boot}).encode() + b"\n")
                process.stdin.flush()
                said = process.stdout.readline()
                if json.loads(said or b"{}").get("event") != "ready":
                    raise RuntimeError(f"it did not start: {said.decode()}")
                yield Child(path, process.pid, time.perf_counter() - began)
            finally:
                process.terminate()


def measure(times: int) -> Iterator[str]:
    """Yield one line for each thing that is measured, `times` times each."""
    with started("minitoolai.children.espeak") as child:
        yield f"ready after {child.start_s:.2f} s; MB in memory, child and mouth, {child.used().rss_mb:.0f}"
        sound = {}
        for language, text in TEXTS.items():
            heard = [child.call(text, language=language, format="pcm") for _ in range(times)]
            sound[language] = heard[0].size / 2 / PCM_RATE
            yield _line(language, heard, sound[language], len(text))
        for file_format in FORMATS:
            heard = [child.call(TEXTS["en"], language="en", format=file_format) for _ in range(times)]
            yield _line(f"en, {file_format}", heard, sound["en"], len(TEXTS["en"]))
        yield f"MB in memory afterwards {child.used().rss_mb:.0f}"
    with started("minitoolai.children.espeak", parallel=1) as child:
        idle, after = [], []
        for _ in range(times):
            idle.append(child.call(TEXTS["en"], language="en", format="pcm").first_s)
            child.leave(LEFT, language="en", format="pcm", speed=0.25)
            after.append(child.call(TEXTS["en"], language="en", format="pcm").first_s)
        yield (
            f"one at a time: first sound {_ms(idle)} ms, right behind a caller who left {_ms(after)} ms "
            f"(most {1000 * max(after):.1f}) of {times}"
        )


def _line(what: str, heard: list[Heard], sound_s: float, characters: int) -> str:
    first, whole = _ms([each.first_s for each in heard]), statistics.median(each.whole_s for each in heard)
    return (
        f"{what:8} {characters:3d} characters, {sound_s:5.2f} s of sound: first {first:>5} ms, "
        f"whole {1000 * whole:6.1f} ms, real-time factor {whole / sound_s:.4f}"
    )


def _ms(times_s: list[float]) -> str:
    return f"{1000 * statistics.median(times_s):.1f}"
