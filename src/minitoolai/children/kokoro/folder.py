"""A folder with Kokoro's files, and what the names of its voices say.

The files are those of https://github.com/thewh1teagle/kokoro-onnx/releases/tag/model-files-v1.0; the names are explained
in https://huggingface.co/hexgrad/Kokoro-82M/blob/main/VOICES.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from minitoolai.children.report import BootError
from minitoolai.core.speech import Voice

#: The first letter of a voice's name: BCP 47, espeak-ng's name of the language, and for people.
LANGUAGES: Mapping[str, tuple[str, str, str]] = {
    "a": ("en-US", "en-us", "American English"),
    "b": ("en-GB", "en-gb", "British English"),
    "e": ("es-ES", "es", "Spanish"),
    "f": ("fr-FR", "fr-fr", "French"),
    "h": ("hi-IN", "hi", "Hindi"),
    "i": ("it-IT", "it", "Italian"),
    "p": ("pt-BR", "pt-br", "Brazilian Portuguese"),
}
#: Voices that are left out. The model learned their sounds from other phonemizers than espeak-ng, which reads a Japanese
#: character as "Chinese letter" and gives Chinese without the tones that the model knows (1.52).
LEFT_OUT: Mapping[str, str] = {"j": "Japanese", "z": "Chinese"}
#: The best voice of each language by the grades in VOICES.md, first.
_BEST = ("af_heart", "af_bella", "bf_emma", "ef_dora", "ff_siwis", "hf_alpha", "if_sara", "pf_dora")
#: Voices that were made after OpenAI's, and for the rest the best of the same kind.
TWINS: Mapping[str, tuple[str, ...]] = {
    "alloy": ("af_alloy",), "ash": ("am_michael",), "ballad": ("bm_george",), "cedar": ("am_fenrir",),
    "coral": ("af_heart",), "echo": ("am_echo",), "fable": ("bm_fable",), "marin": ("af_aoede",), "nova": ("af_nova",),
    "onyx": ("am_onyx",), "sage": ("af_sarah",), "shimmer": ("af_bella",), "verse": ("am_puck",),
}  # fmt: skip
_REMEDY = "Get both files: minitoolai models pull kokoro."


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the files are."""

    model: Path
    #: An npz of one array for each voice.
    voices: Path
    #: The model's own numbers of sounds, where it is not the usual one; None: the package's.
    vocabulary: Path | None


def read(path: Path) -> Folder:
    """Return the files of a folder, or beside the model that `path` is. Raises `BootError` (`model_missing`)."""
    folder = path.parent if path.is_file() else path
    if not folder.is_dir():
        raise BootError("model_missing", f"There is no folder {path}. Correct model_path. {_REMEDY}")
    model = path if path.is_file() else _only(folder, "*.onnx", "the model is")
    vocabulary = folder / "config.json"
    return Folder(model, _only(folder, "voices*.bin", "the voices are"), vocabulary if vocabulary.is_file() else None)


def voices_of(names: Iterable[str]) -> list[Voice]:
    """Return those of the voices that can be spoken with, the best of each language before its others."""
    found = []
    for name in names:
        kind, _, own = name.partition("_")
        if len(kind) == 2 and kind[0] in LANGUAGES and own:
            language, _, shown = LANGUAGES[kind[0]]
            gender = {"f": "female", "m": "male"}.get(kind[1])
            title = own.replace("_", " ").title()
            found.append(Voice(name, f"{title} ({shown})", language, gender))  # type: ignore[arg-type]
    return sorted(found, key=lambda voice: (_BEST.index(voice.id) if voice.id in _BEST else len(_BEST), voice.id))


def _only(folder: Path, pattern: str, what: str) -> Path:
    """Return the one file of a folder that has such a name. Raises `BootError`."""
    found = sorted(folder.glob(pattern))
    if len(found) == 1:
        return found[0]
    if not found:
        raise BootError("model_missing", f"The folder {folder} has no {pattern}: {what} missing. {_REMEDY}")
    names = ", ".join(file.name for file in found)
    raise BootError("model_missing", f"The folder {folder} has several files {pattern} ({names}). Leave one in it.")
