"""The starter model's tokens and rows: digits stay single, words spell alike, loss falls on own answers only."""

import pytest

pytest.importorskip("tokenizers", reason="the starter model's tokens are NOT tested: tokenizers is missing")

from training.starter_chat.rows import RowMaker, learn_tokens
from training.starter_chat.tokens import SPECIAL, Encoder, TokenTable


@pytest.fixture(scope="module")
def table() -> TokenTable:
    """A small table learnt from the generator's text."""
    return learn_tokens(seed=1, size=600)


def test_the_table_has_the_size_asked_for(table: TokenTable) -> None:
    """Special tokens count, and take the last ids."""
    assert table.size == 600
    assert [table.special(name) for name in SPECIAL] == list(range(600 - len(SPECIAL), 600))


def test_a_digit_is_one_token(table: TokenTable) -> None:
    """A number has as many tokens as digits."""
    assert len(Encoder(table).encode("2026")) == 4


def test_a_word_spells_alike_after_a_space(table: TokenTable) -> None:
    """The tokens of a word at the start come again after a space."""
    encoder = Encoder(table)
    assert encoder.encode("Say hello") == [*encoder.encode("Say"), *encoder.encode(" "), *encoder.encode("hello")]


def test_loss_falls_on_answers_only(table: TokenTable) -> None:
    """What is learnt follows the assistant's mark, and no mark of a role is ever learnt."""
    row = RowMaker(seed=2, table=table).row(400)
    assert len(row.tokens) == len(row.learnt) == 400
    roles = {table.special(f"<|{role}|>") for role in ("system", "user", "assistant", "tool")}
    began = [place for place in range(1, 400) if row.learnt[place] and not row.learnt[place - 1]]
    assert began
    assert all(row.tokens[place - 1] == table.special("<|assistant|>") for place in began)
    assert not any(learnt for token, learnt in zip(row.tokens, row.learnt, strict=True) if token in roles)
