"""Boot, speak, leave. Exit status 0 when told to stop or when the parent died, 1 when the start failed."""

from __future__ import annotations

from pathlib import Path

from minitoolai.children.piper import folder
from minitoolai.children.piper.boot import Boot
from minitoolai.children.serving import log
from minitoolai.children.speech.program import Facts, live_speech
from minitoolai.children.speech.synthesis import Synthesizer

MODULE, SPELLER = "minitoolai.children.piper", "minitoolai.children.piper.speller"


def load(boot: Boot) -> tuple[Synthesizer, Facts]:
    """Read the voices and try one out: the engine, and the facts of `ready`. Raises `BootError`, `ImportError`."""

    def say(line: str) -> None:
        log(MODULE, line)

    speakers = folder.read(Path(boot.model_path), say)
    from minitoolai.children.piper import synthesis
    from minitoolai.children.speech import language, sessions, spelling

    language.warm_up()
    threads = sessions.Threads.of(boot.threads)
    speller = spelling.Speller(SPELLER)
    return synthesis.start(speakers, speller, boot.language, threads, boot.loaded, say), {"threads": threads.threads}


def main() -> None:
    """Be the child."""
    live_speech(MODULE, Boot, load, extra="piper")


if __name__ == "__main__":
    main()
