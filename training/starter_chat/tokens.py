"""The tokens: byte-level pairs whose merges hold no digit and no leading space, learnt from the generator's text.

So a digit is always one token (sums line up), and a word has the same tokens after a space or at the start (so
repeating it needs no new spelling). llama.cpp knows this split as 'gpt-2'.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

#: Written after the learnt tokens, in this order.
SPECIAL = ("<|endoftext|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")


@dataclass(frozen=True)
class TokenTable:
    """The learnt tokens in the order of their ids, and the merges in the order they apply."""

    tokens: tuple[str, ...]
    #: Each merge is the two tokens with one space between.
    merges: tuple[str, ...]

    @property
    def size(self) -> int:
        """Gives the number of all tokens, special ones included."""
        return len(self.tokens) + len(SPECIAL)

    def special(self, name: str) -> int:
        """Gives the id of a special token; raises ValueError for an unknown one."""
        return len(self.tokens) + SPECIAL.index(name)


class Encoder:
    """Turns text into token ids with one table; special tokens are never read out of text."""

    def __init__(self, table: TokenTable) -> None:
        """Takes the table."""
        ids = {token: number for number, token in enumerate(table.tokens)}
        pairs = [(left, right) for left, right in (merge.split(" ") for merge in table.merges)]
        self._tokenizer = Tokenizer(models.BPE(ids, pairs))
        self._tokenizer.pre_tokenizer = _split()

    def encode(self, text: str) -> list[int]:
        """Gives the ids of a text."""
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids


def learn(lines: Iterable[str], size: int) -> TokenTable:
    """Learns a table of the size (special tokens included) from lines of text, digits and spaces cut out."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _split()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((re.sub(r"[\d ]+", "\n", line) for line in lines), trainer)
    learnt = json.loads(tokenizer.to_str())["model"]
    merges = (merge if isinstance(merge, str) else " ".join(merge) for merge in learnt["merges"])
    return TokenTable(tuple(sorted(learnt["vocab"], key=learnt["vocab"].__getitem__)), tuple(merges))


def _split() -> pre_tokenizers.ByteLevel:
    """Gives the split into words that GPT-2 used."""
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
