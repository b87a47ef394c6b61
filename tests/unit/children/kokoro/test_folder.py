"""Kokoro's files, and what the names of its voices say."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitoolai.children.kokoro.folder import LANGUAGES, LEFT_OUT, TWINS, read, voices_of
from minitoolai.children.report import BootError
from minitoolai.core.speech import OPENAI_VOICES, Voice
from tests.support import tiny_kokoro


def test_both_files(tmp_path: Path) -> None:
    """The model and the voices of a folder, or beside the model that is named."""
    tiny_kokoro.make(tmp_path)
    model, voices = tmp_path / "kokoro-v1.0.onnx", tmp_path / "voices-v1.0.bin"
    for path in (tmp_path, model):
        found = read(path)
        assert (found.model, found.voices, found.vocabulary) == (model, voices, None)
    (tmp_path / "config.json").write_text("{}")
    assert read(tmp_path).vocabulary == tmp_path / "config.json"
    (tmp_path / "kokoro-v1.0.int8.onnx").touch()
    assert read(model).model == model


def test_what_is_missing(tmp_path: Path) -> None:
    """A folder that lacks a file, or has several of one, is refused with what to do."""
    for path, why in ((tmp_path / "none", "no folder"), (tmp_path, r"no \*\.onnx: the model is missing")):
        with pytest.raises(BootError, match=rf"{why}.* minitoolai models pull kokoro\.") as error:
            read(path)
        assert error.value.code == "model_missing"
    (tmp_path / "a.onnx").touch()
    with pytest.raises(BootError, match=r"voices\*\.bin: the voices are missing"):
        read(tmp_path)
    (tmp_path / "b.onnx").touch()
    with pytest.raises(BootError, match=r"several files \*\.onnx \(a\.onnx, b\.onnx\)\. Leave one"):
        read(tmp_path)


def test_names_say_language_and_gender() -> None:
    """The best voice of each language comes first; what is no such name, or of a language left out, is none."""
    found = voices_of(
        ["am_adam", "af_heart", "zf_xiaoni", "jm_kumo", "bf_emma", "hf_alpha", "voice", "a_", "xf_x", "af", "pm_alex_b"]
    )
    assert found == [
        Voice("af_heart", "Heart (American English)", "en-US", "female"),
        Voice("bf_emma", "Emma (British English)", "en-GB", "female"),
        Voice("hf_alpha", "Alpha (Hindi)", "hi-IN", "female"),
        Voice("am_adam", "Adam (American English)", "en-US", "male"),
        Voice("pm_alex_b", "Alex B (Brazilian Portuguese)", "pt-BR", "male"),
    ]
    assert not LANGUAGES.keys() & LEFT_OUT.keys()


def test_every_name_of_openais_has_a_twin() -> None:
    """Each of them is a voice of Kokoro's, in English."""
    assert set(TWINS) == set(OPENAI_VOICES)
    assert all(LANGUAGES[twin[0]][0].startswith("en") for twins in TWINS.values() for twin in twins)
