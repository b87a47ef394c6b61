"""Asks a GGUF file the held-out questions through xllamacpp and counts exact answers.

Run from the repository's root: python -m training.starter_chat.evaluate FILE [--wrong 5]
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import xllamacpp

from training.starter_chat import held_out
from training.starter_chat.exchange import LANGUAGES, Exchange
from training.starter_chat.words import KNOWN

Message = dict[str, Any]
#: The messages of a common first example of the OpenAI API.
EXAMPLE: tuple[Message, ...] = (
    {"role": "developer", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "How can I help you today?"},
)
#: Odd prompts, to see that the answer ends; the last ones are not what the model was made for.
ODD_PROMPTS = (
    "Say this is a test",
    "Say hello world",
    "how do i atach a real modle",
    "wat is the captial of france?",
    "jaka jest stolca polski",
    "ktory stan usa jest najwiekszy",
    "what is two plus two",
    "Write a haiku about recursion",
    "The quick brown fox jumps over the lazy dog",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "?",
    "1 2 3 4 5 6 7 8 9",
    '{"a": [1, 2, 3], "b": null}',
    "def f(x):\n    return x + 1",
    "no no no no no no no no no no",
    "Repeat: a a a a a a b",
    "東京はどこですか",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor",
    "You are given a list of integers. Return the indices of the two numbers that add up to a target.",
)
#: The longest answer asked for, in tokens.
LONGEST = 80


class Asker:
    """Serves one file inside this process and asks it, greedily unless told otherwise."""

    def __init__(self, file: Path, threads: int = 2) -> None:
        """Loads the file."""
        settings = xllamacpp.CommonParams()
        settings.model.path = str(file)
        settings.n_ctx = 2048
        settings.n_parallel = 1
        settings.cpuparams.n_threads = threads
        settings.cpuparams_batch.n_threads = threads
        settings.warmup = False
        settings.verbosity = 0
        settings.use_jinja = True
        settings.port = 0
        settings.fit_params = False
        settings.ui = False
        self._server = xllamacpp.Server(settings)
        #: Answers cut at the token limit so far.
        self.cut = 0

    def ask(self, messages: Iterable[Message], **options: Any) -> str:
        """Gives the answer to a conversation, without spaces around it."""
        body = {"messages": list(messages), "max_tokens": LONGEST, "temperature": 0, **options}
        choice = self._server.handle_chat_completions(body)["choices"][0]
        self.cut += choice["finish_reason"] == "length"
        return str(choice["message"]["content"]).strip()

    def wrong(self, asked: Iterable[Exchange], before: tuple[Message, ...] = (), **options: Any) -> list[str]:
        """Asks each question after the messages before it, and describes those not answered exactly."""
        found = []
        for exchange in asked:
            answer = self.ask((*before, {"role": "user", "content": exchange.question}), **options)
            if answer != exchange.answer:
                found.append(f"{exchange.question!r} -> {answer!r}, not {exchange.answer!r}")
        return found


def groups() -> dict[str, list[Exchange]]:
    """Gives all questions by the name of their count."""
    found: dict[str, list[Exchange]] = defaultdict(list)
    asked = [
        *held_out.fact_questions(),
        *(made for language in LANGUAGES for sign in "+-*" for made in held_out.sum_questions(language, sign)),
        *held_out.repeat_questions(seed=5, count=60),
        *held_out.unknown_questions(seed=6, count=60),
    ]
    for exchange in asked:
        found[f"{exchange.kind}, {exchange.language}"].append(exchange)
    for name, changed in held_out.changed_questions(seed=7).items():
        for exchange in changed:
            found[f"all facts, {name}, {exchange.language}"].append(exchange)
    return dict(found)


def report(asker: Asker, shown: int) -> None:
    """Prints the counts of every group, then the odd prompts."""
    everything = groups()
    for name, asked in everything.items():
        _count(name, asked, asker.wrong(asked), shown)
    mixed = Random(8).sample([made for name, asked in everything.items() if "all" not in name for made in asked], 300)
    _count("a mix after the example's messages", mixed, asker.wrong(mixed, EXAMPLE), shown)
    _count("a mix at temperature 1", mixed, asker.wrong(mixed, temperature=1.0, seed=1), shown)
    long_text = " ".join(Random(9).choices(KNOWN, k=500))
    long_before: tuple[Message, ...] = ({"role": "system", "content": long_text},)
    _count("a mix after a system text of 500 words", mixed, asker.wrong(mixed, long_before), shown)
    print(f"answers cut at {LONGEST} tokens so far: {asker.cut}")
    for prompt in ODD_PROMPTS:
        print(f"{prompt!r} -> {asker.ask([{'role': 'user', 'content': prompt}])!r}")
    print(f"answers cut in all: {asker.cut}")


def _count(name: str, asked: list[Exchange], wrong: list[str], shown: int) -> None:
    """Prints one group's count and its first wrong answers."""
    print(f"{name}: {len(asked) - len(wrong)}/{len(asked)}", flush=True)
    for line in wrong[:shown]:
        print(f"    {line}")


def main() -> None:
    """Reads the command line and reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--wrong", type=int, default=4, help="wrong answers shown for each group")
    options = parser.parse_args()
    began = time.monotonic()
    report(Asker(options.file), options.wrong)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
