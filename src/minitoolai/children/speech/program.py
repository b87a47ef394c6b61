"""What every child that speaks does the same between its boot document and `ready`. Its `__main__` is:

from minitoolai.children.espeak.boot import Boot  # a `SpeechBoot` or `VoicesBoot` of `children.speech.boot`
from minitoolai.children.speech.program import Facts, live_speech
from minitoolai.children.speech.synthesis import Synthesizer


def load(boot: Boot) -> tuple[Synthesizer, Facts]:
    from minitoolai.children.espeak.synthesis import Espeak  # whatever needs a package of the extra

    engine = Espeak(boot.language)
    return engine, {"version": engine.version}


def main() -> None:
    live_speech("minitoolai.children.espeak", Boot, load, extra="espeak")
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from minitoolai.children import isolation
from minitoolai.children.program import live
from minitoolai.children.report import BootError, Report
from minitoolai.children.speech.boot import SpeechBoot
from minitoolai.children.speech.synthesis import Synthesizer

#: What a child says of itself when it is ready.
Facts = Mapping[str, Any]

AnyBoot = TypeVar("AnyBoot", bound=SpeechBoot)


def live_speech(
    module: str, kind: type[AnyBoot], load: Callable[[AnyBoot], tuple[Synthesizer, Facts]], *, extra: str
) -> None:
    """Boot, serve, leave; see `children.program.live`.

    `load` runs without the network and before there is any thread. It returns the engine, tried out, and the facts of
    `ready` beside those that all have (`voices`: how many, `parallel`, `load_s`, `network`); it raises `BootError`. An
    `ImportError` of its is `BootError` (`engine_missing`), which names `extra`.
    """

    def start(boot: AnyBoot, _report: Report) -> tuple[object, Facts]:
        began = time.monotonic()
        offline = isolation.cut_network()
        try:
            from minitoolai.children.speech import encoding, server

            synthesizer, facts = load(boot)
            encoding.warm_up()
        except ImportError as error:
            why = f"A package that speaking needs is not installed ({error}). Install it: pip install 'minitoolai[{extra}]'."
            raise BootError("engine_missing", why) from error
        voices = len(synthesizer.voices())
        serving = server.serve(boot.socket, synthesizer, module)
        return (synthesizer, serving), {
            "voices": voices,
            "parallel": synthesizer.parallel,
            "load_s": round(time.monotonic() - began, 3),
            "network": not offline,
            **facts,
        }

    live(module, kind, start)
