"""What the model does not know: questions no fact answers, sums beyond its limits, and its plain answer to them."""

from random import Random

from training.starter_chat.exchange import Exchange, Language
from training.starter_chat.facts import lines, rows
from training.starter_chat.noise import typed
from training.starter_chat.sums import PHRASINGS, PRODUCT_LIMIT, SUM_LIMIT
from training.starter_chat.words import gibberish, made_up, some_text

DO_NOT_KNOW: dict[Language, str] = {
    "en": "I am a small demo and I do not know that. Ask me how to attach a real model.",
    "pl": "Jestem małym demo i tego nie wiem. Zapytaj mnie, jak dołączyć prawdziwy model.",
}
CANNOT_SOLVE: dict[Language, str] = {
    "en": "I am a small demo and I cannot solve that sum.",
    "pl": "Jestem małym demo i nie umiem tego policzyć.",
}
#: How many patterns at the end of each file are kept from training.
HELD_OUT_COUNT = 6
#: How often an unknown question is no question at all, and how often it is several sentences.
GIBBERISH_SHARE, LONG_SHARE = 0.2, 0.1
#: What such a prompt may be: a text, a made-up word, a topic or gibberish.
LOOSE = ("{t}", "{w}", "{n}", "{g}", "{g}", "{g}")
#: Questions about numbers that no sum of ours answers.
OTHER_SUMS: dict[Language, tuple[str, ...]] = {
    "en": (
        "{a}/{b}",
        "{a} / {b}",
        "What is {a} divided by {b}?",
        "{a} + {b} + {c}",
        "{a}+{b}-{c}",
        "What is {a} + {b} * {c}?",
        "{a}.{b} + {c}",
        "What is the square root of {a}?",
        "What is {a} squared?",
        "{a}^{b}",
        "What is {a}% of {b}?",
    ),
    "pl": (
        "Ile to {a} podzielić przez {b}?",
        "Ile to {a} / {b}?",
        "Ile to {a} + {b} - {c}?",
        "Jaki jest pierwiastek z {a}?",
        "Ile to {a} do kwadratu?",
        "Ile to {a}% z {b}?",
    ),
}
#: The phrasings of sums that show their language: signs alone count as English, so that one answer is right.
WORDED = {
    (language, sign): tuple(p for p in found if language == "en" or any(map(str.isalpha, p.format(a=0, b=0))))
    for (language, sign), found in PHRASINGS.items()
}


class Unknown:
    """Makes questions without an answer and gives the plain one."""

    def __init__(self, random: Random) -> None:
        """Reads the patterns, topics and known names."""
        self._random = random
        self._topics: dict[Language, list[str]] = {
            "en": " ".join(lines("topics_en")).split(),
            "pl": " ".join(lines("topics_pl")).split(),
        }
        countries = rows("countries")
        self._names: dict[Language, list[str]] = {
            "en": [row["name"] for row in countries] + [row["capital"] for row in countries],
            "pl": [row["polish"] for row in countries] + [row["genitive"] for row in countries],
        }
        self._patterns: dict[Language, list[str]] = {"en": lines("unknown_en"), "pl": lines("unknown_pl")}

    def exchange(self, language: Language) -> Exchange:
        """Asks something that no fact answers."""
        patterns = self._patterns[language][:-HELD_OUT_COUNT]
        chance = self._random.random()
        if language == "en" and chance < GIBBERISH_SHARE:
            pattern = self._random.choice(LOOSE)
        elif chance > 1 - LONG_SHARE:
            pattern = " ".join(self._random.sample(patterns, self._random.randint(2, 5)))
        else:
            pattern = self._random.choice(patterns)
        question = typed(self._random, self.filled(pattern, language), slips=False)
        return Exchange("unknown", language, question, DO_NOT_KNOW[language])

    def held_out(self, language: Language) -> Exchange:
        """Asks with one of the patterns kept from training."""
        pattern = self._random.choice(self._patterns[language][-HELD_OUT_COUNT:])
        return Exchange("unknown", language, self.filled(pattern, language), DO_NOT_KNOW[language])

    def filled(self, pattern: str, language: Language) -> str:
        """Puts topics, names, years and texts into a pattern."""
        random = self._random
        while "{n}" in pattern:
            pattern = pattern.replace("{n}", random.choice(self._topics[language]), 1)
        while "{w}" in pattern:
            pattern = pattern.replace("{w}", made_up(random).capitalize(), 1)
        return (
            pattern.replace("{k}", random.choice(self._names[language]))
            .replace("{y}", str(random.randrange(1000, 2030)))
            .replace("{t}", some_text(random))
            .replace("{g}", gibberish(random))
        )

    def large_sum(self, language: Language) -> Exchange:
        """Asks for a sum, difference or product beyond the limits, or for another kind of sum."""
        random = self._random
        if random.random() < 0.35:
            numbers = [random.randrange(100) for _ in range(3)]
            pattern = random.choice(OTHER_SUMS[language])
        else:
            sign = random.choice("+-*")
            limit = PRODUCT_LIMIT if sign == "*" else SUM_LIMIT
            most = random.choice((limit + 10, 100, 1000, 100000))
            numbers = [random.randrange(limit + 1, most), random.choice((random.randrange(most), 1)), 0]
            if random.random() < 0.5:
                numbers[:2] = reversed(numbers[:2])
            pattern = random.choice(WORDED[language, sign])
        question = pattern.format(a=numbers[0], b=numbers[1], c=numbers[2])
        return Exchange("large sum", language, typed(random, question, slips=False), CANNOT_SOLVE[language])
