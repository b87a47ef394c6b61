"""Which of Piper's voices there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minitoolai.children.piper.folder import order, read
from minitoolai.children.report import BootError
from minitoolai.core.speech import Voice
from tests.support import tiny_kokoro, tiny_piper


def nothing(line: str) -> None:
    """Be told nothing."""
    pytest.fail(line)


def test_one_file(tmp_path: Path) -> None:
    """A file is a voice, named as it is, of the language that its description says."""
    path = tiny_piper.make(tmp_path, "pl_PL-gosia-medium")
    (speaker,) = read(path, nothing)
    assert speaker.voice == Voice("pl_PL-gosia-medium", "gosia (Polish, medium)", "pl-PL", "female")
    assert (speaker.path, speaker.number, speaker.rate) == (path, None, tiny_piper.RATE)


def test_several_speakers(tmp_path: Path) -> None:
    """Each speaker of a file is a voice."""
    path = tiny_piper.make(tmp_path, "en_GB-vctk-medium", 3)
    found = read(path, nothing)
    assert [(each.voice.id, each.number) for each in found] == [(f"en_GB-vctk-medium#p{n}", n) for n in range(3)]
    assert found[1].voice.name == "vctk p1 (English, medium)"
    assert found[1].voice.gender is None
    sharvard = tiny_piper.make(tmp_path / "a", "es_ES-sharvard-medium", 2, speaker_id_map={"M": 0, "F": 1})
    assert [each.voice.gender for each in read(sharvard, nothing)] == ["male", "female"]
    unnamed = tiny_piper.make(tmp_path / "b", "en_GB-vctk-medium", 2, speaker_id_map={})
    assert [each.voice.id for each in read(unnamed, nothing)] == ["en_GB-vctk-medium#0", "en_GB-vctk-medium#1"]


@pytest.mark.parametrize(
    ("changes", "language", "name"),
    [
        ({"language": None}, "en-US", "tiny (medium)"),
        ({"language": None, "espeak": {"voice": "en-gb-x-rp"}}, "en-GB-x-rp", "tiny (medium)"),
        ({"language": {"code": "zh_hant_tw"}, "dataset": None}, "zh-Hant-TW", "en_US-tiny-medium (medium)"),
        ({"audio": {"sample_rate": 16000}, "language": {"code": "cmn"}}, "cmn", "tiny"),
    ],
)
def test_what_older_descriptions_lack(tmp_path: Path, changes: dict[str, Any], language: str, name: str) -> None:
    """Where the language is not told, espeak-ng's name of it is; names are made of what there is."""
    (speaker,) = read(tiny_piper.make(tmp_path, **changes), nothing)
    assert (speaker.voice.language, speaker.voice.name) == (language, name)


def test_a_folder(tmp_path: Path) -> None:
    """Every file below a folder is read; what is no voice is left out and named, and the others are there."""
    tiny_piper.make(tmp_path / "pl", "pl_PL-gosia-medium")
    tiny_piper.make(tmp_path / "en", "en_US-ryan-high")
    (tmp_path / "lonely.onnx").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("hello")
    lines: list[str] = []
    assert {each.voice.id for each in read(tmp_path, lines.append)} == {"en_US-ryan-high", "pl_PL-gosia-medium"}
    (line,) = lines
    assert "lonely.onnx.json is missing. Put it beside lonely.onnx" in line


def test_which_are_preferred(tmp_path: Path) -> None:
    """Voices made of one speaker come before others, the better made before the worse, then by name."""
    for name, speakers in (("en_US-a-low", 1), ("en_US-c-high", 2), ("en_US-d-medium", 1), ("en_US-b-medium", 1)):
        tiny_piper.make(tmp_path, name, speakers)
    tiny_piper.make(tmp_path, "en_US-e-best")
    assert [each.voice.id for each in sorted(read(tmp_path, nothing), key=order)] == [
        "en_US-b-medium", "en_US-d-medium", "en_US-a-low", "en_US-e-best", "en_US-c-high#p0", "en_US-c-high#p1",
    ]  # fmt: skip


def test_nothing_there(tmp_path: Path) -> None:
    """A path without voices is refused with how to get some."""
    for path, why in ((tmp_path / "none", "no voice at"), (tmp_path, "It has no .onnx file.")):
        with pytest.raises(BootError, match=why) as error:
            read(path, nothing)
        assert error.value.code == "model_missing"
        assert "minitoolai models pull" in str(error.value)
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(BootError, match="The log says why") as error:
        read(tmp_path, lambda _line: None)
    assert error.value.code == "model_missing"


def described(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Return what changes a voice's description."""

    def spoil(path: Path) -> None:
        beside = path.with_name(f"{path.name}.json")
        content = json.loads(beside.read_text())
        change(content)
        beside.write_text(json.dumps(content))

    return spoil


def unreadable(path: Path) -> None:
    """Put a folder in the description's place."""
    beside = path.with_name(f"{path.name}.json")
    beside.unlink()
    beside.mkdir()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.with_name(f"{path.name}.json").unlink(), r"onnx\.json is missing"),
        (lambda path: path.with_name(f"{path.name}.json").write_text("<html>"), "not valid JSON"),
        (lambda path: path.with_name(f"{path.name}.json").write_text("[]"), "audio.sample_rate None"),
        (lambda path: path.with_name(f"{path.name}.json").write_bytes(b" " * (5 << 20)), "too large"),
        (unreadable, "cannot be read"),
        (described(lambda it: it.update(audio={"sample_rate": 7})), "sample_rate 7, which is not from 8000 to 48000"),
        (described(lambda it: it.update(phoneme_type="pinyin")), "phonemes of type 'pinyin'. Use a voice with"),
        (described(lambda it: it["phoneme_id_map"].pop("$")), r"no phoneme_id_map with \^ _ \$"),
        (described(lambda it: it.update(espeak={})), "no espeak.voice"),
        (described(lambda it: it.pop("num_symbols")), "no num_symbols"),
        (described(lambda it: it.update(num_speakers=0)), "num_speakers 0"),
        (described(lambda it: it.update(num_speakers=2, speaker_id_map={"a": 0, "b": 2})), "speaker_id_map"),
        (described(lambda it: it.update(num_speakers=2)), "takes input, input_lengths, scales, where .* takes .*, sid"),
        (described(lambda it: it.update(language={"code": "!"})), "the language '!', which is none"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "no whole ONNX file: it is cut off"),
        (lambda path: path.write_bytes(tiny_kokoro.network().SerializeToString()), "takes speed, style, tokens, where"),
        (lambda path: (path.unlink(), path.mkdir(), (path / "x").touch()), "There is no voice in the folder"),
    ],
)  # fmt: skip
def test_a_damaged_voice(tmp_path: Path, spoil: Callable[[Path], object], why: str) -> None:
    """A voice that cannot be used is refused by the name of the file, with what is wrong and what to do."""
    path = tiny_piper.make(tmp_path)
    spoil(path)
    with pytest.raises(BootError, match=why) as error:
        read(path, lambda _line: None)
    assert error.value.code in {"model_invalid", "model_missing"}
    assert path.name in str(error.value)
