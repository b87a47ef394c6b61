"""What tokens cost, and how many an amount pays for."""

from __future__ import annotations

from fractions import Fraction

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


@given(PRICES, PRICES, st.integers(0, 10**6), st.integers(0, 10**6), st.data())
def test_cached_tokens_cost_their_own_price(
    input_price: int, output_price: int, prompt: int, completion: int, data: st.DataObject
) -> None:
    """Each of them instead of the usual one; rounded once; never more than what was held for a prompt without any."""
    cached_price = data.draw(st.integers(0, input_price))
    cached = data.draw(st.integers(0, prompt))
    prices = TokenPrices(input_price, output_price, cached_price)
    cost = prices.usage_cost_nusd(Usage(prompt, completion, cached_tokens=cached))
    exact = Fraction((prompt - cached) * input_price + cached * cached_price + completion * output_price, 10**6)
    assert abs(cost - exact) <= Fraction(1, 2)
    assert cost <= prices.cost_nusd(prompt, completion)
    without = TokenPrices(input_price, output_price)
    assert without.usage_cost_nusd(Usage(prompt, completion, cached_tokens=cached)) == without.cost_nusd(prompt, completion)


def test_reasoning_is_part_of_the_completion() -> None:
    """It is priced once."""
    prices = TokenPrices(1_100_000_000, 4_400_000_000, 275_000_000)
    assert prices.usage_cost_nusd(Usage(100, 50, reasoning_tokens=30)) == 100 * 1100 + 50 * 4400
    assert prices.usage_cost_nusd(Usage(100, 50, cached_tokens=60, reasoning_tokens=30)) == 40 * 1100 + 60 * 275 + 50 * 4400
    assert (prices.cached_input_nusd_per_1m, TokenPrices(5, 7).cached_input_nusd_per_1m) == (275_000_000, 5)


@given(PRICES, PRICES, PRICES, PRICES, st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_dearest_covers_both(a: int, b: int, c: int, d: int, prompt: int, completion: int) -> None:
    """What is held for a call that may be served at either of two prices pays for it at each."""
    one, other = TokenPrices(a, b), TokenPrices(c, d)
    held = one.dearest(other).cost_nusd(prompt, completion)
    assert held >= max(one.cost_nusd(prompt, completion), other.cost_nusd(prompt, completion))
