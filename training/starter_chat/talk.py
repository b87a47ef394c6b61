"""The seeded generator: exchanges and whole conversations, the same for the same seed; pure standard library."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from training.starter_chat import repeating, sums
from training.starter_chat.exchange import LANGUAGES, Deck, Exchange, Language
from training.starter_chat.facts import Fact, general_facts, small_talk, table_facts
from training.starter_chat.noise import typed
from training.starter_chat.unknown import Unknown
from training.starter_chat.words import HELD_OUT, KNOWN, made_up, some_text

Family = Literal["table", "general", "talk", "sum", "repeat", "unknown", "large sum"]
#: The share of Polish among all exchanges.
POLISH_SHARE = 0.45
#: How often each family is asked, in parts of the whole.
SHARES: dict[Family, int] = {
    "table": 25,
    "general": 12,
    "talk": 8,
    "sum": 25,
    "repeat": 15,
    "unknown": 11,
    "large sum": 4,
}

SYSTEM_TEXTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant",
    "You are a helpful, harmless and honest assistant.",
    "Answer briefly.",
    "Be concise.",
    "You are a friendly bot.",
    "Jesteś pomocnym asystentem.",
    "Odpowiadaj krótko.",
    "Odpowiadaj po polsku.",
    "You are an expert. Answer the user's questions.",
    "Talk like a pirate.",
    "You are a helpful AI assistant. Use tools when needed.",
    "Always answer in JSON.",
)
#: Assistant turns that are not the model's own, as a client may send them; no loss is taken on them.
FOREIGN_ANSWERS = ("How can I help you today?", "Hi there!", "Sure.", "I can help with that.", "Of course!")
SYSTEM_SHARE, LONG_SYSTEM_SHARE, FOREIGN_SHARE, TOOL_SHARE = 0.4, 0.1, 0.15, 0.02
TOOL_ANSWERS: dict[Language, str] = {"en": "The tool says: {}", "pl": "Narzędzie mówi: {}"}


@dataclass(frozen=True)
class Turn:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    #: Whether the model learns to say this.
    learnt: bool = False


def normal(question: str) -> str:
    """Gives a question without case, marks and spaces at its ends, to compare it with others."""
    return re.sub(r"\s+", " ", question.lower().strip(" ?.!"))


def all_facts() -> list[Fact]:
    """Lists everything that has one fixed answer, small talk included."""
    return table_facts() + general_facts() + small_talk()


def repeatable_words(facts: list[Fact]) -> tuple[str, ...]:
    """Lists the words that may be repeated: common ones and all words of the facts, but no held-out one."""
    spoken = {word for fact in facts for text in (*fact.phrasings, fact.answer) for word in re.findall(r"[^\W\d]{2,}", text)}
    return KNOWN * 3 + tuple(sorted(word for word in spoken if word.lower() not in HELD_OUT))


class Talk:
    """Makes exchanges and conversations from one source of chance."""

    def __init__(self, seed: int) -> None:
        """Starts all decks from the seed."""
        self._random = Random(seed)
        random = self._random
        facts = all_facts()
        groups: dict[Family, list[Fact]] = {
            "table": table_facts(),
            "general": general_facts(),
            "talk": small_talk(),
        }
        self._decks = {
            (family, language): Deck(random, [fact for fact in group if fact.language == language])
            for family, group in groups.items()
            for language in LANGUAGES
        }
        self._sums = sums.SumTalk(random)
        self._unknown = Unknown(random)
        self._words = repeatable_words(facts)
        self._held_out = {normal(fact.held_out) for fact in facts}
        self._answered = {normal(text) for fact in facts for text in fact.phrasings} | self._held_out

    def exchange(self) -> Exchange:
        """Gives the next exchange; it is never a held-out question."""
        random = self._random
        while True:
            language: Language = "pl" if random.random() < POLISH_SHARE else "en"
            family = random.choices(tuple(SHARES), tuple(SHARES.values()))[0]
            made = self._of_family(family, language)
            known = self._answered if made.kind == "unknown" else self._held_out
            if normal(made.question) not in known:
                return made

    def _of_family(self, family: Family, language: Language) -> Exchange:
        """Makes one exchange of a family in a language."""
        random = self._random
        if family == "sum":
            made = self._sums.exchange(language)
            return Exchange(made.kind, language, typed(random, made.question, slips=False), made.answer)
        if family == "repeat":
            return repeating.repeated(random, language, self._words)
        if family == "unknown":
            return self._unknown.exchange(language)
        if family == "large sum":
            return self._unknown.large_sum(language)
        fact = self._decks[family, language].deal()
        question = typed(random, random.choice(fact.phrasings))
        return Exchange(fact.kind, language, question, fact.answer)

    def conversation(self) -> Iterator[Turn]:
        """Gives the turns of one conversation without end; the caller stops when it has enough."""
        random = self._random
        if random.random() < SYSTEM_SHARE:
            yield Turn("system", self._system_text())
        if random.random() < FOREIGN_SHARE:
            yield Turn("user", self.exchange().question)
            yield Turn("assistant", random.choice((*FOREIGN_ANSWERS, some_text(random))))
        while True:
            made = self.exchange()
            yield Turn("user", made.question)
            if random.random() < TOOL_SHARE:
                text = self._tool_text()
                yield Turn("assistant", "")
                yield Turn("tool", text)
                yield Turn("assistant", TOOL_ANSWERS[made.language].format(text), learnt=True)
            else:
                yield Turn("assistant", made.answer, learnt=True)

    def _tool_text(self) -> str:
        """Gives what a tool might return: words, or one name and number in JSON."""
        random = self._random
        if random.random() < 0.5:
            return some_text(random)
        return f'{{"{made_up(random)}": {random.randrange(1000)}}}'

    def _system_text(self) -> str:
        """Gives a usual system text, now and then a long one of words without sense."""
        random = self._random
        if random.random() < LONG_SYSTEM_SHARE:
            return ". ".join(some_text(random) for _ in range(random.randint(2, 12)))
        return random.choice(SYSTEM_TEXTS)
