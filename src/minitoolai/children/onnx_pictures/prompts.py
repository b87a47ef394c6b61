"""CLIP's tokens of a prompt, in chunks that its text encoder reads one at a time.

CLIP reads 77 tokens. Longer prompts are cut into chunks of 75, each put between its own first and last token, read
alone, and laid one behind another, which the network that draws does not mind: so does A1111's web UI.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from minitoolai.children.onnx_pictures.folder import MERGES, VOCABULARY, Folder
from minitoolai.children.report import BootError

#: Words, single digits, runs of signs (Radford et al. 2021; `SimpleTokenizer` of https://github.com/openai/CLIP).
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
#: What the last piece of a word ends with in the vocabulary.
END_OF_WORD = "</w>"
#: Tokens are 32-bit numbers in most graphs.
_MAX_ID = 2**31 - 1

#: Tokens of one chunk.
Chunk = list[int]


@dataclass(frozen=True, slots=True)
class Prompts:
    """The tokenizer of one model."""

    #: `tokenizers.Tokenizer`.
    tokenizer: Any
    begin: int
    end: int
    pad: int
    #: Tokens of a chunk, the first and the last included.
    context_tokens: int

    def pair(self, negative_prompt: str, prompt: str) -> tuple[list[Chunk], list[Chunk]]:
        """Return the chunks of both, equally many: empty ones are added to the shorter."""
        negative, positive = self.chunks(negative_prompt), self.chunks(prompt)
        empty = self._chunk([])
        more = len(positive) - len(negative)
        return negative + [empty] * more, positive + [empty] * -more  # a list times less than nothing is empty

    def chunks(self, text: str) -> list[Chunk]:
        """Return the chunks of a text, at least one, each of `context_tokens` tokens."""
        tokens = self.tokenizer.encode(text, add_special_tokens=False).ids
        room = self.context_tokens - 2
        return [self._chunk(tokens[start : start + room]) for start in range(0, max(len(tokens), 1), room)]

    def _chunk(self, tokens: Chunk) -> Chunk:
        chunk = [self.begin, *tokens, self.end]
        return chunk + [self.pad] * (self.context_tokens - len(chunk))


def load(folder: Folder) -> Prompts:
    """Return the tokenizer of a model's folder. Raises `BootError` (`engine_missing`, `model_invalid`)."""
    try:
        from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    except ImportError as error:
        why = f"The package tokenizers is not installed ({error}). Install it: pip install 'minitoolai[onnx]'."
        raise BootError("engine_missing", why) from error
    vocabulary = _vocabulary(folder)
    lacking = next((text for text in (folder.begin, folder.end, folder.pad) if text not in vocabulary), None)
    if lacking is not None:
        raise _invalid(VOCABULARY, f"has no token {lacking!r}")
    # What is no piece of a word becomes the last token, as in CLIP; its vocabularies have all 256 bytes.
    model = models.BPE(vocabulary, _merges(folder, vocabulary), end_of_word_suffix=END_OF_WORD, unk_token=folder.end)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    begin, end, pad = (vocabulary[text] for text in (folder.begin, folder.end, folder.pad))
    return Prompts(tokenizer, begin, end, pad, folder.context_tokens)


def _vocabulary(folder: Folder) -> dict[str, int]:
    try:
        found = json.loads((folder.path / VOCABULARY).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _invalid(VOCABULARY, f"cannot be read: {error}") from error
    if not isinstance(found, dict) or not all(type(number) is int and 0 <= number <= _MAX_ID for number in found.values()):
        raise _invalid(VOCABULARY, "is no object of tokens and their numbers")
    return found


def _merges(folder: Folder, vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Return the pairs of pieces that become one, the first the most frequent."""
    try:
        lines = (folder.path / MERGES).read_text("utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise _invalid(MERGES, f"cannot be read: {error}") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        first, _, second = line.strip().partition(" ")
        if not {first, second, first + second} <= vocabulary.keys():
            raise _invalid(MERGES, f"names in line {number} what is not in vocab.json")
        pairs.append((first, second))
    return pairs


def _invalid(name: str, why: str) -> BootError:
    return BootError("model_invalid", f"The picture model's {name} {why}. Copy tokenizer/ from the model again.")
