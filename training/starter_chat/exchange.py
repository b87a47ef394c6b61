"""What the generator deals in: one question with its answer, and decks that deal every card equally often."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, Literal, TypeVar

Language = Literal["en", "pl"]
LANGUAGES: tuple[Language, Language] = ("en", "pl")
Card = TypeVar("Card")


@dataclass(frozen=True)
class Exchange:
    """One question and the one right answer to it."""

    #: The family of the question: 'sum', 'repeat', 'unknown', or a fact's kind.
    kind: str
    language: Language
    question: str
    answer: str


class Deck(Generic[Card]):
    """Deals its cards in a shuffled order, all of them before any comes again."""

    def __init__(self, random: Random, cards: Sequence[Card]) -> None:
        """Takes the cards and the source of chance; refuses an empty deck."""
        if not cards:
            raise ValueError("a deck needs cards")
        self._random = random
        self._cards = list(cards)
        self._left: list[Card] = []

    def deal(self) -> Card:
        """Gives the next card, after shuffling all cards anew when none is left."""
        if not self._left:
            self._left = self._cards.copy()
            self._random.shuffle(self._left)
        return self._left.pop()
