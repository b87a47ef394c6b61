"""Voices that can be fetched by name: where their files are, where they are put, and the settings that use them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minitoolai.core.inner_errors import OperatorError
from minitoolai.integrations.downloads import Wanted

#: Piper's voices, of which every name says where its files are (https://huggingface.co/rhasspy/piper-voices).
PIPER_URL = "https://huggingface.co/rhasspy/piper-voices/resolve/v1.0.0"
#: Kokoro's model and voices (https://github.com/thewh1teagle/kokoro-onnx/releases).
KOKORO_URL = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"
KOKORO = "kokoro"
KOKORO_FILES = ("kokoro-v1.0.onnx", "voices-v1.0.bin")
#: Some of Piper's, and what they are; any other is fetched by its name as well.
PIPER_VOICES: Mapping[str, str] = {
    "ar_JO-kareem-medium": "Arabic",
    "cs_CZ-jirka-medium": "Czech",
    "de_DE-thorsten-medium": "German",
    "en_GB-alba-medium": "British English",
    "en_US-lessac-medium": "American English",
    "es_ES-sharvard-medium": "Spanish",
    "fr_FR-siwis-medium": "French",
    "it_IT-paola-medium": "Italian",
    "nl_NL-mls-medium": "Dutch",
    "pl_PL-gosia-medium": "Polish",
    "pt_BR-faber-medium": "Brazilian Portuguese",
    "ru_RU-irina-medium": "Russian",
    "uk_UA-ukrainian_tts-medium": "Ukrainian",
    "zh_CN-huayan-medium": "Chinese",
}
_PIPER_NAME = re.compile(r"(([a-z]{2,3})_[A-Z]{2})-([A-Za-z0-9_]+)-(x_low|low|medium|high)")


class NoSuchVoice(OperatorError):
    """There are no files known for '{name}'. Use {kokoro}, or a voice of Piper's like pl_PL-gosia-medium: `minitoolai
    models pull --list` names some, and https://huggingface.co/rhasspy/piper-voices has all."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What is fetched under one name."""

    name: str
    #: Kind of the engine that speaks it, and the folder that its `model_path` names.
    kind: str
    folder: Path
    files: tuple[Wanted, ...]

    def settings(self) -> str:
        """Return the lines of settings that use it."""
        return (
            f'[engines.{self.kind}]\nkind = "{self.kind}"\nmodel_path = "{self.folder}"\n\n'
            f'[models.{self.kind}]\nkind = "speech"\nengine = "{self.kind}"\nusd_per_1m_characters = "2.00"\n'
        )


def to_pull(name: str, models: Path, mirror: str | None = None) -> Pulled:
    """Return what `name` stands for, to be put below the folder `models`; `mirror`: the base URL of a copy.

    Raises `NoSuchVoice`.
    """
    if name == KOKORO:
        folder, base = models / KOKORO, mirror or KOKORO_URL
        return Pulled(name, KOKORO, folder, tuple(Wanted(f"{base}/{file}", folder / file) for file in KOKORO_FILES))
    found = _PIPER_NAME.fullmatch(name)
    if found is None:
        raise NoSuchVoice(name=name, kokoro=KOKORO)
    locale, language, voice, quality = found.groups()
    folder, base = models / "piper", f"{mirror or PIPER_URL}/{language}/{locale}/{voice}/{quality}"
    # The settings first: a voice without them is no voice, and the small file shows soon whether there is one.
    files = (f"{name}.onnx.json", f"{name}.onnx")
    return Pulled(name, "piper", folder, tuple(Wanted(f"{base}/{file}", folder / file) for file in files))
