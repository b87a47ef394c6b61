"""The questions of the evaluation: phrasings and words never trained on, and every small sum."""

from random import Random

from training.starter_chat import repeating
from training.starter_chat.exchange import LANGUAGES, Exchange, Language
from training.starter_chat.noise import plain, slipped
from training.starter_chat.sums import HELD_OUT, PRODUCT_LIMIT, SUM_LIMIT, Sum, all_sums
from training.starter_chat.talk import all_facts
from training.starter_chat.unknown import Unknown
from training.starter_chat.words import HELD_OUT as HELD_OUT_WORDS
from training.starter_chat.words import made_up


def fact_questions() -> list[Exchange]:
    """Asks every fact and all small talk in its held-out phrasing."""
    return [Exchange(fact.kind, fact.language, fact.held_out, fact.answer) for fact in all_facts()]


def changed_questions(seed: int) -> dict[str, list[Exchange]]:
    """Asks every fact in a trained phrasing under five changes, each alone."""
    random = Random(seed)
    asked = [(fact, random.choice(fact.phrasings)) for fact in all_facts()]
    changes = {
        "as trained": lambda text: text,
        "lower case": str.lower,
        "no end mark": lambda text: text.rstrip("?.!"),
        "one slip": lambda text: slipped(random, text),
        "no Polish marks": plain,
    }
    return {
        name: [Exchange(fact.kind, fact.language, change(text), fact.answer) for fact, text in asked]
        for name, change in changes.items()
    }


def sum_questions(language: Language, sign: str) -> list[Exchange]:
    """Asks every learnt sum with a sign, in the phrasing never trained on."""
    limit = PRODUCT_LIMIT if sign == "*" else SUM_LIMIT
    pattern = HELD_OUT[language, sign]
    return [sum_question(task, language, pattern) for task in all_sums(sign, limit)]


def sum_question(task: Sum, language: Language, pattern: str) -> Exchange:
    """Asks one sum in a given phrasing."""
    question = pattern.format(a=task.first, b=task.second)
    return Exchange(f"sum {task.sign}", language, question, task.solved)


def repeat_questions(seed: int, count: int) -> list[Exchange]:
    """Asks to repeat never-trained and made-up words, half of the requests never trained on."""
    random = Random(seed)
    asked = []
    for language in LANGUAGES:
        for number in range(count):
            held_out = number % 2 == 0
            patterns = repeating.HELD_OUT if held_out else repeating.REQUESTS
            length = random.randint(1, 6)
            words = [random.choice((*HELD_OUT_WORDS, made_up(random))) for _ in range(length)]
            text = " ".join(words)
            kind = "repeat, new request" if held_out else "repeat"
            asked.append(Exchange(kind, language, random.choice(patterns[language]).format(text), text))
    return asked


def unknown_questions(seed: int, count: int) -> list[Exchange]:
    """Asks what the model does not know, in patterns never trained on, and sums beyond its limits."""
    unknown = Unknown(Random(seed))
    return [
        made
        for language in LANGUAGES
        for _ in range(count)
        for made in (unknown.held_out(language), unknown.large_sum(language))
    ]
