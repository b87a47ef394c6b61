"""Boot, speak, leave. Exit status 0 when told to stop or when the parent died, 1 when the start failed."""

from __future__ import annotations

from pathlib import Path

from minitoolai.children.kokoro import folder
from minitoolai.children.serving import log
from minitoolai.children.speech.boot import VoicesBoot
from minitoolai.children.speech.program import Facts, live_speech
from minitoolai.children.speech.synthesis import Synthesizer

MODULE, SPELLER = "minitoolai.children.kokoro", "minitoolai.children.kokoro.speller"


def load(boot: VoicesBoot) -> tuple[Synthesizer, Facts]:
    """Read the folder, load and try out: the engine, and the facts of `ready`. Raises `BootError`, `ImportError`."""
    files = folder.read(Path(boot.model_path))
    from minitoolai.children.kokoro import synthesis
    from minitoolai.children.speech import language, sessions, spelling

    language.warm_up()
    threads = sessions.Threads.of(boot.threads)
    engine = synthesis.start(files, spelling.Speller(SPELLER), boot.language, threads, lambda line: log(MODULE, line))
    return engine, {"threads": threads.threads}


def main() -> None:
    """Be the child."""
    live_speech(MODULE, VoicesBoot, load, extra="kokoro")


if __name__ == "__main__":
    main()
