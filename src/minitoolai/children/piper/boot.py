"""The boot document of the child that speaks with Piper's voices."""

from __future__ import annotations

from dataclasses import dataclass

from minitoolai.children.speech.boot import VoicesBoot

#: Voices kept in memory, 20 to 120 MB each.
DEFAULT_LOADED = 4


@dataclass(frozen=True)
class Boot(VoicesBoot):
    """The boot document. `model_path` is a voice's `.onnx`, its `.onnx.json` beside it, or a folder with any number."""

    #: Files of voices kept in memory; the one that was used longest ago makes room.
    loaded: int = DEFAULT_LOADED

    def check(self) -> None:
        """Types and ranges; raises ValueError."""
        super().check()
        self.check_counts("loaded")
        if self.loaded is None:
            raise ValueError("loaded must be a positive integer")
