"""From texts to chunks of CLIP's tokens."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from minitoolai.children.onnx_pictures import folder, prompts
from minitoolai.children.report import BootError
from tests.support import tiny_diffusion

MERGES, VOCABULARY = "tokenizer/merges.txt", "tokenizer/vocab.json"


@pytest.fixture
def words(model: Path) -> prompts.Prompts:
    """The tokenizer of the tiny model."""
    return prompts.load(folder.read(model))


def test_a_text_becomes_tokens(words: prompts.Prompts, model: Path) -> None:
    """Lower case, one space, pieces as the merges say, the rest as bytes; the last of a word is marked."""
    names = {number: text for text, number in json.loads((model / VOCABULARY).read_text()).items()}
    (chunk,) = words.chunks("  The\n\tRED  12é!? the's ")
    found = [names[number] for number in chunk]
    expected = ["the</w>", "red</w>", "1</w>", "2</w>", "Ã", "©</w>", "!", "?</w>", "the</w>", "'", "s</w>"]
    assert found[: len(expected) + 2] == [tiny_diffusion.BEGIN, *expected, tiny_diffusion.END]
    assert set(found[len(expected) + 2 :]) == {tiny_diffusion.END}
    assert len(chunk) == tiny_diffusion.CONTEXT


def test_two_ways_to_write_a_letter_are_one(words: prompts.Prompts) -> None:
    """An accent of its own is joined to its letter."""
    assert words.chunks("e\u0301") == words.chunks("\u00e9")


def test_the_marks_of_a_prompt_are_text_in_it(words: prompts.Prompts) -> None:
    """Nobody ends a prompt by writing its end."""
    (chunk,) = words.chunks(f"a {tiny_diffusion.END} b")
    assert chunk[2] != words.end
    assert chunk.index(words.end) > 10


@pytest.mark.parametrize(("letters", "chunks"), [(0, 1), (1, 1), (75, 1), (76, 2), (150, 2), (151, 3)])
def test_long_texts_become_chunks(words: prompts.Prompts, letters: int, chunks: int) -> None:
    """75 tokens each, the last one filled up, all between a beginning and an end."""
    found = words.chunks("x " * letters)
    assert len(found) == chunks
    assert all(len(chunk) == 77 and chunk[0] == words.begin and chunk[-1] == words.end for chunk in found)
    assert sum(token not in (words.begin, words.end) for chunk in found for token in chunk) == letters


@pytest.mark.parametrize("texts", [("", "x " * 200), ("x " * 200, ""), ("", "")])
def test_both_texts_have_as_many_chunks(words: prompts.Prompts, texts: tuple[str, str]) -> None:
    """The shorter one gets empty chunks behind it."""
    pair = words.pair(*texts)
    (empty,) = words.chunks("")
    for text, chunks in zip(texts, pair, strict=True):
        assert len(chunks) == max(len(words.chunks(each)) for each in texts)
        own = words.chunks(text)
        assert chunks == own + [empty] * (len(chunks) - len(own))


def test_a_pad_of_its_own(tmp_path: Path) -> None:
    """Stable Diffusion 2 fills chunks with another token than the end's."""
    words = prompts.load(folder.read(tiny_diffusion.make(tmp_path, pad="!")))
    (chunk,) = words.chunks("x")
    assert chunk[2] == words.end
    assert set(chunk[3:]) == {words.pad} != {words.end}


def test_the_package_is_not_installed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is a command."""
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(BootError, match="pip install") as caught:
        prompts.load(folder.read(model))
    assert caught.value.code == "engine_missing"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (VOCABULARY, "nope", "cannot be read"),
        (VOCABULARY, "[]", "no object"),
        (VOCABULARY, '{"a": -1}', "no object"),
        (VOCABULARY, '{"a": 8589934592}', "no object"),
        (VOCABULARY, '{"a": 1}', "no token"),
        (MERGES, "#version: 0.2\nr e\nnope\n", "line 3"),
        (MERGES, "r e\nre zzz</w>\n", "line 2"),
        (MERGES, "\udcff", "cannot be read"),
    ],
)
def test_broken_tokenizers_are_named(model: Path, name: str, content: str, said: str) -> None:
    """Each with its file, and what to do."""
    (model / name).write_text(content, "utf-8", "surrogateescape")
    with pytest.raises(BootError, match="Copy tokenizer/") as caught:
        prompts.load(folder.read(model))
    assert caught.value.code == "model_invalid"
    assert name in str(caught.value)
    assert said in str(caught.value)
