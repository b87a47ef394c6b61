"""What tokens cost, and how many an amount pays for."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from minitoolai.core.inference import Usage
from minitoolai.core.pricing import TokenPrices

PRICES = st.integers(0, 10**13)


@given(PRICES, st.integers(1, 10**13), st.integers(0, 10**7), st.integers(0, 10**12))
@example(150_000_000, 600_000_000, 10, 0)
@example(0, 1, 0, 0)
def test_affordable_tokens_are_exact(input_price: int, output_price: int, prompt: int, amount: int) -> None:
    """What is answered is paid for, and one token more is not."""
    prices = TokenPrices(input_price, output_price)
    tokens = prices.affordable_completion_tokens(prompt, amount)
    assert tokens >= 0
    if tokens > 0 or prices.cost_nusd(prompt, 0) <= amount:
        assert prices.cost_nusd(prompt, tokens) <= amount
    assert prices.cost_nusd(prompt, tokens + 1) > amount


@given(PRICES, st.integers(0, 10**6), st.integers(0, 10**12))
def test_free_output_is_unbounded_once_the_prompt_is_paid(input_price: int, prompt: int, amount: int) -> None:
    """No limit of a model reaches the answer; a prompt that cannot be paid gives none."""
    prices = TokenPrices(input_price, 0)
    paid = prices.cost_nusd(prompt, 0) <= amount
    assert prices.affordable_completion_tokens(prompt, amount) == (2**31 - 1 if paid else 0)


def test_the_seed_prices() -> None:
    """83 prompt tokens of gpt-4o-mini cost what contract §7 says."""
    prices = TokenPrices(150_000_000, 600_000_000)
    assert prices.cost_nusd(83, 0) == 12_450
    assert prices.cost_nusd(83, 1000) == 612_450
    assert prices.usage_cost_nusd(Usage(83, 1000)) == 612_450
