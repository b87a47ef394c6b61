"""The voices in a file or folder, from what stands beside them: Piper's `.onnx.json`.

Format: https://github.com/OHF-Voice/piper1-gpl/blob/main/docs/TRAINING.md, and the voices themselves,
https://huggingface.co/rhasspy/piper-voices.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from minitoolai.children.report import BootError
from minitoolai.children.speech import onnx_header
from minitoolai.core.speech import Voice

#: What a voice's network takes; `sid` where it has several speakers.
INPUTS = frozenset({"input", "input_lengths", "scales"})
SPEAKER_INPUT = "sid"
#: How texts become sounds without anything that is not there or not allowed: others load models from the network.
PHONEME_TYPES = frozenset({"espeak", "text", "hebrew"})
#: Marks that every voice's sounds are framed with.
_FRAME = ("^", "_", "$")
#: Samples a second of voices there are; others are no voice.
_LEAST_RATE, _MOST_RATE = 8000, 48_000
#: Bytes of an `.onnx.json` at most; one with 904 speakers has 20 KB.
_MAX_JSON_BYTES = 4 * 1024 * 1024
_QUALITIES = ("high", "medium", "low", "x_low")
#: The speakers of data sets that are named so (https://rhasspy.github.io/piper-samples).
_FEMALE = frozenset(
    {
        "alba", "amy", "eva_k", "gosia", "hfc_female", "irina", "jenny_dioco", "kathleen", "kerstin", "kristin", "lessac",
        "ljspeech", "paola", "ramona", "siwis", "southern_english_female",
    }
)  # fmt: skip
_MALE = frozenset(
    {
        "alan", "darkman", "denis", "dmitri", "faber", "gilles", "hfc_male", "joe", "john", "karlsson", "kusal", "norman",
        "northern_english_male", "pavoque", "riccardo", "ruslan", "ryan", "thorsten", "tom",
    }
)  # fmt: skip


#: Speakers that are named for what they are, as in es_ES-sharvard-medium.
_SPEAKERS: Mapping[str, Literal["female", "male"]] = {"F": "female", "female": "female", "M": "male", "male": "male"}


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice, and where it is."""

    voice: Voice
    #: Its `.onnx`.
    path: Path
    #: Among the file's speakers; None where it has one.
    number: int | None
    #: Samples a second.
    rate: int


class BadVoice(Exception):
    """A file is no voice that can be used; the message names it, what is wrong and the remedy."""


def read(path: Path, log: Callable[[str], None]) -> list[Speaker]:
    """Return the voices at a path, the preferred ones first; `log` is told which of a folder's files are left out.

    Raises `BootError` (`model_missing`, `model_invalid`).
    """
    if path.is_file():
        try:
            return _speakers(path)
        except BadVoice as error:
            raise BootError("model_invalid", str(error)) from error
    if not path.is_dir():
        raise BootError(
            "model_missing", f"There is no voice at {path}. Correct model_path, or get one: minitoolai models pull."
        )
    found: list[Speaker] = []
    for file in sorted(path.rglob("*.onnx")):
        try:
            found += _speakers(file)
        except BadVoice as error:
            log(f"a voice is left out: {error}")
    if not found:
        why = "The log says why each file in it was left out." if any(path.rglob("*.onnx")) else "It has no .onnx file."
        remedy = "Correct model_path, or get a voice: minitoolai models pull --list."
        raise BootError("model_missing", f"There is no voice in the folder {path}. {why} {remedy}")
    return found


def _speakers(path: Path) -> list[Speaker]:
    """Return the speakers of a voice's file. Raises `BadVoice`."""
    config = _config(path)
    speakers = _numbers(path, config)
    _check_network(path, len(speakers))
    language, known = _language(path, config)
    dataset = str(config.get("dataset") or path.stem)
    quality = _nested(config, "audio", "quality")
    rate = _nested(config, "audio", "sample_rate")
    words = ", ".join(str(word) for word in (known, quality) if word)
    found = []
    for name, number in speakers.items():
        several = len(speakers) > 1
        shown = f"{dataset} {name}" if several else dataset
        voice = Voice(
            id=f"{path.stem}#{name}" if several else path.stem,
            name=f"{shown} ({words})" if words else shown,
            language=language,
            gender=_SPEAKERS.get(name) if several else _gender(dataset),
        )
        found.append(Speaker(voice, path, number if several else None, rate))
    return found


def order(speaker: Speaker) -> tuple[bool, int, str, int]:
    """Return what voices are sorted by: those made of one speaker before others, then by quality, then by name."""
    _, _, quality = speaker.path.stem.rpartition("-")
    rank = _QUALITIES.index(quality) if quality in _QUALITIES else len(_QUALITIES)
    return (speaker.number is not None, rank, speaker.path.stem, speaker.number or 0)


def config_path(path: Path) -> Path:
    """Return where the description of a voice's file is."""
    return path.with_name(f"{path.name}.json")


def _config(path: Path) -> Mapping[str, Any]:
    """Return a voice's description, what is used of it checked. Raises `BadVoice`."""
    beside = config_path(path)
    try:
        if beside.stat().st_size > _MAX_JSON_BYTES:
            raise _bad(beside, "is too large to describe a voice")
        config = json.loads(beside.read_bytes())
    except FileNotFoundError as error:
        raise _bad(beside, "is missing", f"Put it beside {path.name}: it comes from where the voice comes from.") from error
    except OSError as error:
        raise _bad(beside, f"cannot be read ({error.strerror})", "Let this user read it.") from error
    except ValueError as error:
        raise _bad(beside, f"is not valid JSON ({error})") from error
    kind = _nested(config, "phoneme_type") or "espeak"
    if kind not in PHONEME_TYPES:
        raise _bad(
            beside, f"asks for phonemes of type {kind!r}", f"Use a voice with one of: {', '.join(sorted(PHONEME_TYPES))}."
        )
    rate = _nested(config, "audio", "sample_rate")
    if type(rate) is not int or not _LEAST_RATE <= rate <= _MOST_RATE:
        raise _bad(beside, f"has audio.sample_rate {rate!r}, which is not from {_LEAST_RATE} to {_MOST_RATE}")
    ids = _nested(config, "phoneme_id_map")
    if not isinstance(ids, dict) or not all(isinstance(ids.get(mark), list) for mark in _FRAME):
        raise _bad(beside, f"has no phoneme_id_map with {' '.join(_FRAME)}")
    if not isinstance(_nested(config, "espeak", "voice"), str):
        raise _bad(beside, "has no espeak.voice")
    if type(config.get("num_symbols")) is not int:
        raise _bad(beside, "has no num_symbols")
    checked: Mapping[str, Any] = config
    return checked


def _numbers(path: Path, config: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the numbers of a file's speakers by their names. Raises `BadVoice`."""
    count, named = config.get("num_speakers"), config.get("speaker_id_map") or {}
    if type(count) is not int or count < 1:
        raise _bad(config_path(path), f"has num_speakers {count!r}, which is not from 1")
    if count == 1:
        return {"0": 0}
    if not isinstance(named, dict) or not all(type(number) is int and 0 <= number < count for number in named.values()):
        raise _bad(config_path(path), "has a speaker_id_map that is not of names to numbers")
    return named if len(named) > 1 else {str(number): number for number in range(count)}


def _check_network(path: Path, speakers: int) -> None:
    """Raise `BadVoice` where a file is no network of Piper's."""
    try:
        inputs = onnx_header.inputs(path)
    except onnx_header.NotOnnx as error:
        raise _bad(path, f"is no whole ONNX file: {error}") from error
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror})", "Let this user read it.") from error
    due = INPUTS | {SPEAKER_INPUT} if speakers > 1 else INPUTS
    if not due <= inputs <= INPUTS | {SPEAKER_INPUT}:
        raise _bad(path, f"takes {', '.join(sorted(inputs))}, where a voice of Piper's takes {', '.join(sorted(due))}")


def _language(path: Path, config: Mapping[str, Any]) -> tuple[str, str]:
    """Return the BCP 47 tag of what a voice speaks, and its English name where that is told. Raises `BadVoice`."""
    code = _nested(config, "language", "code") or _nested(config, "espeak", "voice")
    parts = list(_subtags(str(code)))
    if not parts[0].isalpha():
        raise _bad(config_path(path), f"names the language {code!r}, which is none")
    return "-".join(parts), str(_nested(config, "language", "name_english") or "")


def _subtags(code: str) -> Iterator[str]:
    """Yield the parts of a language's tag as BCP 47 writes them (RFC 5646, 2.1.1)."""
    before = ""
    for part in code.replace("_", "-").lower().split("-"):
        plain = len(before) > 1
        yield part.upper() if plain and len(part) == 2 else part.title() if plain and len(part) == 4 else part
        before = part


def _gender(dataset: str) -> Literal["female", "male"] | None:
    return "female" if dataset in _FEMALE else "male" if dataset in _MALE else None


def _nested(config: Any, *names: str) -> Any:
    for name in names:
        config = config.get(name) if isinstance(config, dict) else None
    return config


def _bad(path: Path, why: str, remedy: str = "Get the voice anew: minitoolai models pull.") -> BadVoice:
    return BadVoice(f"The file {path} {why}. {remedy}")
