"""Sums, differences and the table of products: every pair the model learns, and the ways people ask for it."""

from dataclasses import dataclass
from random import Random

from training.starter_chat.exchange import LANGUAGES, Deck, Exchange, Language
from training.starter_chat.facts import rows

#: The largest number in a sum or a difference.
SUM_LIMIT = 20
#: The largest number in a product.
PRODUCT_LIMIT = 10
#: How often a question spells its numbers as words.
WORDS_SHARE = 0.1

NUMBER_WORDS: dict[Language, tuple[str, ...]] = {
    language: tuple(row[language] for row in rows("number_words")) for language in LANGUAGES
}

PHRASINGS: dict[tuple[Language, str], tuple[str, ...]] = {
    ("en", "+"): (
        "{a}+{b}",
        "{a} + {b}",
        "{a} + {b} = ?",
        "{a}+{b}=",
        "What is {a} + {b}?",
        "What is {a}+{b}?",
        "what's {a}+{b}?",
        "What is {a} plus {b}?",
        "What's {a} plus {b}?",
        "How much is {a} + {b}?",
        "add {a} and {b}",
        "Add {a} to {b}.",
        "{a} plus {b}",
        "Calculate {a}+{b}",
        "Compute {a} + {b}.",
        "What is the sum of {a} and {b}?",
        "Can you add {a} and {b}?",
    ),
    ("en", "-"): (
        "{a}-{b}",
        "{a} - {b}",
        "{a} - {b} = ?",
        "{a}-{b}=",
        "What is {a} - {b}?",
        "What is {a}-{b}?",
        "what's {a}-{b}?",
        "What is {a} minus {b}?",
        "What's {a} minus {b}?",
        "How much is {a} - {b}?",
        "subtract {b} from {a}",
        "{a} minus {b}",
        "{a} take away {b}",
        "Calculate {a}-{b}",
        "Compute {a} - {b}.",
        "Can you subtract {b} from {a}?",
    ),
    ("en", "*"): (
        "{a}*{b}",
        "{a} * {b}",
        "{a} x {b}",
        "{a}x{b}",
        "{a} * {b} = ?",
        "{a} × {b}",
        "What is {a} * {b}?",
        "What is {a} times {b}?",
        "What's {a} times {b}?",
        "How much is {a} * {b}?",
        "multiply {a} by {b}",
        "{a} times {b}",
        "Calculate {a}*{b}",
        "What is {a} multiplied by {b}?",
    ),
    ("pl", "+"): (
        "{a}+{b}",
        "{a} + {b} = ?",
        "Ile to {a} + {b}?",
        "Ile to {a}+{b}?",
        "Ile to {a} plus {b}?",
        "ile to jest {a} plus {b}",
        "Ile jest {a} + {b}?",
        "Ile będzie {a} + {b}?",
        "{a} dodać {b}",
        "{a} plus {b}",
        "dodaj {a} i {b}",
        "Dodaj {a} do {b}.",
        "Oblicz {a} + {b}",
        "Policz {a}+{b}",
        "Jaka jest suma {a} i {b}?",
    ),
    ("pl", "-"): (
        "{a}-{b}",
        "{a} - {b} = ?",
        "Ile to {a} - {b}?",
        "Ile to {a}-{b}?",
        "Ile to {a} minus {b}?",
        "ile to jest {a} minus {b}",
        "Ile jest {a} - {b}?",
        "Ile będzie {a} - {b}?",
        "{a} odjąć {b}",
        "{a} minus {b}",
        "odejmij {b} od {a}",
        "Oblicz {a} - {b}",
        "Policz {a}-{b}",
    ),
    ("pl", "*"): (
        "{a}*{b}",
        "{a} * {b} = ?",
        "Ile to {a} * {b}?",
        "Ile to {a}*{b}?",
        "Ile to {a} razy {b}?",
        "ile to jest {a} razy {b}",
        "Ile jest {a} razy {b}?",
        "{a} razy {b}",
        "pomnóż {a} przez {b}",
        "Oblicz {a} * {b}",
        "Policz {a}*{b}",
    ),
}
#: Never trained on: only the evaluation asks so.
HELD_OUT: dict[tuple[Language, str], str] = {
    ("en", "+"): "How much is {a} plus {b}?",
    ("en", "-"): "How much is {a} minus {b}?",
    ("en", "*"): "How much is {a} times {b}?",
    ("pl", "+"): "Ile jest {a} plus {b}?",
    ("pl", "-"): "Ile jest {a} minus {b}?",
    ("pl", "*"): "Ile będzie {a} razy {b}?",
}
SPELT: dict[tuple[Language, str], tuple[str, ...]] = {
    ("en", "+"): ("What is {a} plus {b}?", "{a} plus {b}", "add {a} and {b}"),
    ("en", "-"): ("What is {a} minus {b}?", "{a} minus {b}", "subtract {b} from {a}"),
    ("en", "*"): ("What is {a} times {b}?", "{a} times {b}", "multiply {a} by {b}"),
    ("pl", "+"): ("Ile to {a} plus {b}?", "{a} plus {b}", "{a} dodać {b}"),
    ("pl", "-"): ("Ile to {a} minus {b}?", "{a} minus {b}", "{a} odjąć {b}"),
    ("pl", "*"): ("Ile to {a} razy {b}?", "{a} razy {b}"),
}


@dataclass(frozen=True)
class Sum:
    """Two numbers and the sign between them: '+', '-' or '*'."""

    first: int
    sign: str
    second: int

    @property
    def result(self) -> int:
        """Gives the right result."""
        if self.sign == "+":
            return self.first + self.second
        if self.sign == "-":
            return self.first - self.second
        return self.first * self.second

    @property
    def solved(self) -> str:
        """Writes the whole sum out, as the model answers it."""
        return f"{self.first} {self.sign} {self.second} = {self.result}"


def all_sums(sign: str, limit: int) -> list[Sum]:
    """Lists every pair of numbers from 0 up to the limit."""
    numbers = range(limit + 1)
    return [Sum(first, sign, second) for first in numbers for second in numbers]


def learnt_sums() -> list[Sum]:
    """Lists every sum, difference and product that the model learns."""
    return all_sums("+", SUM_LIMIT) + all_sums("-", SUM_LIMIT) + all_sums("*", PRODUCT_LIMIT)


def asked(random: Random, task: Sum, language: Language) -> str:
    """Words a sum as somebody might ask for it."""
    if random.random() < WORDS_SHARE:
        words = NUMBER_WORDS[language]
        phrasing = random.choice(SPELT[language, task.sign])
        return phrasing.format(a=words[task.first], b=words[task.second])
    return random.choice(PHRASINGS[language, task.sign]).format(a=task.first, b=task.second)


class SumTalk:
    """Deals sums so that each is asked equally often in each language."""

    def __init__(self, random: Random) -> None:
        """Takes the source of chance."""
        self._random = random
        self._decks = {language: Deck(random, learnt_sums()) for language in LANGUAGES}

    def exchange(self, language: Language) -> Exchange:
        """Gives the next sum, asked in the language and solved."""
        task = self._decks[language].deal()
        return Exchange("sum", language, asked(self._random, task, language), task.solved)
