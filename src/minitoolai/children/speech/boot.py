"""What the boot documents of all children that speak have in common."""

from __future__ import annotations

from dataclasses import dataclass

from minitoolai.children.program import BootDocument

#: The language of what tells none by itself, where the operator names no other.
DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True)
class SpeechBoot(BootDocument):
    """The boot document of a child that speaks; each has more fields of its own."""

    #: BCP 47 tag of the language that is spoken where neither the call nor its text tells one.
    language: str = DEFAULT_LANGUAGE

    def check(self) -> None:
        """Types and ranges; raises ValueError."""
        super().check()
        self.check_texts("language")


@dataclass(frozen=True)
class VoicesBoot(SpeechBoot):
    """The boot document of a child whose voices are files."""

    #: Where they are: a file or a folder.
    model_path: str = ""
    #: Threads for the arithmetic of one piece; null: as many as there are cores for us.
    threads: int | None = None

    def check(self) -> None:
        """Types and ranges; raises ValueError."""
        super().check()
        self.check_texts("model_path")
        self.check_counts("threads")
