"""The starter model's generator: the same for a seed, never two answers to a question, every sum right."""

import re
from collections import Counter
from itertools import islice
from random import Random

import pytest

from training.starter_chat import repeating, sums, words
from training.starter_chat.exchange import LANGUAGES, Deck, Exchange
from training.starter_chat.facts import general_facts, lines, table_facts
from training.starter_chat.noise import plain, slipped
from training.starter_chat.talk import POLISH_SHARE, Talk, all_facts, normal
from training.starter_chat.unknown import HELD_OUT_COUNT

SOLVED = re.compile(r"(\d+) ([-+*]) (\d+) = (-?\d+)")
SAMPLE = 20000


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    """A long stretch of generated exchanges."""
    talk = Talk(seed=3)
    return [talk.exchange() for _ in range(SAMPLE)]


def test_the_same_seed_gives_the_same_talk() -> None:
    """Two generators with one seed agree, and another seed differs."""
    one, same, other = (list(islice(Talk(seed).conversation(), 300)) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_there_are_a_hundred_facts_in_each_language() -> None:
    """The facts alone, small talk left out, are at least a hundred in English and in Polish."""
    counted = Counter(fact.language for fact in table_facts() + general_facts())
    assert all(counted[language] >= 100 for language in LANGUAGES)


def test_no_fact_has_two_answers() -> None:
    """Questions that differ only in case and end marks always have one answer."""
    answers: dict[str, str] = {}
    for fact in all_facts():
        for question in (*fact.phrasings, fact.held_out):
            assert answers.setdefault(normal(question), fact.answer) == fact.answer, question


def test_what_is_unknown_is_never_a_known_question(exchanges: list[Exchange]) -> None:
    """No fact's question, held-out ones included, is answered with 'I do not know'."""
    known = {normal(text) for fact in all_facts() for text in (*fact.phrasings, fact.held_out)}
    assert not [made for made in exchanges if made.kind == "unknown" and normal(made.question) in known]


def test_every_fact_has_all_its_words_filled() -> None:
    """No answer or question shows a field, a doubled mark or a space at its end."""
    for fact in all_facts():
        for text in (*fact.phrasings, fact.held_out, fact.answer):
            assert not re.search(r"[{}|]|\.\.|^\s|\s$", text), text


def test_every_generated_sum_is_right(exchanges: list[Exchange]) -> None:
    """The answer to a sum is worked out again from its text."""
    made = [exchange for exchange in exchanges if exchange.kind == "sum"]
    assert len(made) > SAMPLE // 10
    for exchange in made:
        found = SOLVED.fullmatch(exchange.answer)
        assert found, exchange
        first, sign, second, result = int(found[1]), found[2], int(found[3]), int(found[4])
        assert result == {"+": first + second, "-": first - second, "*": first * second}[sign]


def test_every_sum_names_its_own_numbers(exchanges: list[Exchange]) -> None:
    """A question in digits asks for the two numbers that the answer solves."""
    for exchange in exchanges:
        asked = re.findall(r"\d+", exchange.question)
        if exchange.kind == "sum" and asked:
            assert sorted(asked) == sorted(exchange.answer.split()[0:3:2]), exchange


def test_all_sums_come_equally_often() -> None:
    """One round of the deck deals every sum, difference and product once."""
    talk, count = sums.SumTalk(Random(1)), len(sums.learnt_sums())
    dealt = Counter(talk.exchange("en").answer for _ in range(count))
    assert count == 21 * 21 * 2 + 11 * 11
    assert dealt == Counter(task.solved for task in sums.learnt_sums())


def test_a_deck_needs_cards() -> None:
    """An empty deck is refused."""
    with pytest.raises(ValueError, match="needs cards"):
        Deck(Random(1), [])


def test_held_out_questions_are_never_generated(exchanges: list[Exchange]) -> None:
    """No phrasing, pattern or word kept for the evaluation is ever trained on."""
    asked = {normal(exchange.question) for exchange in exchanges}
    assert not asked & {normal(fact.held_out) for fact in all_facts()}
    kinds = ("sum", "repeat", "unknown", "large sum")
    patterns = [*sums.HELD_OUT.values(), *(text for found in repeating.HELD_OUT.values() for text in found)]
    for name in ("unknown_en", "unknown_pl"):
        patterns += lines(name)[-HELD_OUT_COUNT:]
    whole = [re.compile(re.sub(r"\\{.\\}", r"\\S+", re.escape(normal(pattern)))) for pattern in patterns]
    facts = {normal(text) for fact in all_facts() for text in fact.phrasings}
    others = {normal(exchange.question) for exchange in exchanges if exchange.kind in kinds} - facts
    assert not [text for text in others if any(pattern.fullmatch(text) for pattern in whole)]
    assert not [text for text in asked if set(text.split()) & set(words.HELD_OUT)]


def test_the_languages_have_their_shares(exchanges: list[Exchange]) -> None:
    """Polish is within two hundredths of the share it should have."""
    polish = sum(exchange.language == "pl" for exchange in exchanges) / len(exchanges)
    assert abs(polish - POLISH_SHARE) < 0.02


def test_repeating_says_exactly_what_was_asked(exchanges: list[Exchange]) -> None:
    """The answer to a request to repeat stands in the request."""
    made = [exchange for exchange in exchanges if exchange.kind == "repeat"]
    assert made
    assert all(exchange.answer in exchange.question for exchange in made)


def test_slips_and_plain_letters_change_little() -> None:
    """A slip moves the length by one at most, and plain letters keep it."""
    random = Random(4)
    for text in ("Jaka jest stolica Polski?", "a b c", ""):
        assert abs(len(slipped(random, text)) - len(text)) <= 1
    assert plain("Zażółć gęślą jaźń") == "Zazolc gesla jazn"
