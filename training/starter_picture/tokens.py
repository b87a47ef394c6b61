"""The tokenizer in CLIP's own files: byte pairs whose merges end in one token for each known word."""

import json
from itertools import pairwise
from pathlib import Path

#: The most tokens of a caption, marks included: what CLIP's text encoders have.
LONGEST = 77
START, END = "<|startoftext|>", "<|endoftext|>"
#: CLIP writes this after the last letter of a word.
WORD_END = "</w>"


def tables(words: tuple[str, ...]) -> tuple[list[str], list[tuple[str, str]]]:
    """Gives all tokens in the order of their ids, and the merges in the order they apply.

    A word's merges come after those of the words before it, so none of them is ever disturbed.
    """
    letters = _byte_letters()
    tokens = letters + [letter + WORD_END for letter in letters]
    ranks: dict[tuple[str, str], int] = {}
    for word in words:
        parts = _merged([*word[:-1], word[-1] + WORD_END], ranks)
        while len(parts) > 1:
            ranks[parts[0], parts[1]] = len(ranks)
            parts = [parts[0] + parts[1], *parts[2:]]
            tokens.append(parts[0])
    return [*dict.fromkeys(tokens), START, END], list(ranks)


def write_tokenizer(folder: Path, words: tuple[str, ...]) -> int:
    """Writes the four files of a CLIP tokenizer into the folder, and gives the number of tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens, merges = tables(words)
    marks = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    settings = {
        **marks,
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": LONGEST,
        "tokenizer_class": "CLIPTokenizer",
    }
    _write(folder / "vocab.json", {token: number for number, token in enumerate(tokens)})
    _write(folder / "tokenizer_config.json", settings)
    _write(folder / "special_tokens_map.json", marks)
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    return len(tokens)


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _byte_letters() -> list[str]:
    """Gives the letter that stands for each byte, in GPT-2's order: printable bytes first, as themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]


def _merged(parts: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """Applies the merges there are, the lowest rank first and the leftmost of one rank first."""
    while True:
        pairs = [(ranks[pair], place) for place, pair in enumerate(pairwise(parts)) if pair in ranks]
        if not pairs:
            return parts
        _, place = min(pairs)
        parts = [*parts[:place], parts[place] + parts[place + 1], *parts[place + 2 :]]
