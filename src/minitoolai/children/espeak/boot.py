"""The boot document of the child that speaks with espeak-ng."""

from __future__ import annotations

from dataclasses import dataclass

from minitoolai.children.speech.boot import SpeechBoot

#: Pieces spoken side by side at most: each is a process for some milliseconds.
MAX_PARALLEL = 16


@dataclass(frozen=True)
class Boot(SpeechBoot):
    """The boot document."""

    #: Pieces spoken side by side; null: as many as there are cores for us.
    parallel: int | None = None

    def check(self) -> None:
        """Types and ranges; raises ValueError."""
        super().check()
        if self.parallel is not None:
            self.check_parallel(self.parallel, MAX_PARALLEL)
