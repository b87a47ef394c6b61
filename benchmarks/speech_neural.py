"""Where the time of a voice of Piper or Kokoro goes: spoken in this process, with a clock around the network.

Needs the voice's extra and its files: `minitoolai models pull`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime

from benchmarks.report import conditions
from benchmarks.speech_child import TEXTS
from minitoolai.children.kokoro.__main__ import load as load_kokoro
from minitoolai.children.piper.__main__ import load as load_piper
from minitoolai.children.piper.boot import Boot
from minitoolai.children.speech.boot import VoicesBoot
from minitoolai.children.speech.synthesis import Synthesizer
from minitoolai.core.speech import SpeechRequest

_SAMPLE_BYTES = 2


@dataclass
class Clock:
    """Notes how long networks have run."""

    runs_s: list[float] = field(default_factory=list)

    def around(self, session: type[Any]) -> type[Any]:
        """Return onnxruntime's class of networks with this clock in its `run`."""
        runs_s = self.runs_s

        class Timed(session):  # type: ignore[misc]
            def run(self, *arguments: Any, **options: Any) -> Any:
                began = time.perf_counter()
                try:
                    return super().run(*arguments, **options)
                finally:
                    runs_s.append(time.perf_counter() - began)

        return Timed


@dataclass(frozen=True, slots=True)
class Spoken:
    """Where the time of one text went, in seconds."""

    whole_s: float
    network_s: float
    sound_s: float


def speak(engine: Synthesizer, clock: Clock, text: str) -> Spoken:
    """Have a text spoken, in samples."""
    heard: list[bytes] = []
    clock.runs_s.clear()
    began = time.perf_counter()
    request = SpeechRequest(text, language="en")
    plan = engine.plan(request)
    for piece in plan.pieces:
        engine.say(request, plan, piece, heard.append)
    whole_s = time.perf_counter() - began
    return Spoken(whole_s, sum(clock.runs_s), sum(map(len, heard)) / _SAMPLE_BYTES / plan.rate)


def line(kind: str, found: list[Spoken]) -> str:
    """Return what several texts came to: medians."""
    network, whole = (
        1000 * statistics.median(times) for times in ([each.network_s for each in found], [each.whole_s for each in found])
    )
    return (
        f"{kind:7} {found[0].sound_s:5.2f} s of sound: network {network:7.2f} ms, beside it {whole - network:6.2f} ms, "
        f"whole × {whole / network:.3f} of the network, of {len(found)}"
    )


def main() -> None:
    """Speak as often as the options say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speech_neural", description=__doc__)
    parser.add_argument("--piper", metavar="PATH", help="a voice's .onnx, or a folder of them")
    parser.add_argument("--kokoro", metavar="DIR", help="folder of the model and its voices")
    parser.add_argument("--times", type=int, default=30, metavar="N", help="how often (30); once more before them")
    options = parser.parse_args()
    if not (options.piper or options.kokoro):
        parser.error("name --piper, --kokoro or both")
    print(conditions(Path.cwd(), Path(sys.executable)), flush=True)
    clock = Clock()
    onnxruntime.InferenceSession = clock.around(onnxruntime.InferenceSession)
    engines: dict[str, Synthesizer] = {}
    if options.piper:
        engines["piper"] = load_piper(Boot(socket="", model_path=options.piper))[0]
    if options.kokoro:
        engines["kokoro"] = load_kokoro(VoicesBoot(socket="", model_path=options.kokoro))[0]
    for kind, engine in engines.items():
        print(line(kind, [speak(engine, clock, TEXTS["en"]) for _ in range(options.times + 1)][1:]), flush=True)


if __name__ == "__main__":
    main()
