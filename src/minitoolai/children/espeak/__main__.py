"""Boot, speak, leave. Exit status 0 when told to stop or when the parent died, 1 when the start failed."""

from __future__ import annotations

from minitoolai.children.espeak.boot import Boot
from minitoolai.children.speech.program import Facts, live_speech
from minitoolai.children.speech.synthesis import Synthesizer


def load(boot: Boot) -> tuple[Synthesizer, Facts]:
    """Start the mouth; return the engine, and what it is. Raises `BootError`, `ImportError`."""
    from minitoolai.children.espeak.synthesis import Espeak
    from minitoolai.children.speech import language

    language.warm_up()
    engine = Espeak(boot.language, boot.parallel)
    return engine, {"version": engine.version}


def main() -> None:
    """Be the child."""
    live_speech("minitoolai.children.espeak", Boot, load, extra="espeak")


if __name__ == "__main__":
    main()
