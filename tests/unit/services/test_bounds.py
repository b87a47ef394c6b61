"""The most that a call may use and cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.catalog import ChatModel
from minitoolai.core.errors import ContextLengthExceeded, CostCapExceeded, InvalidValue
from minitoolai.core.inference import MIN_COMPLETION_TOKENS, ChatRequest
from minitoolai.core.pricing import TokenPrices
from minitoolai.core.tokens import PROMPT_OVERHEAD_TOKENS
from minitoolai.services.bounds import Bounds
from tests.support.fakes import FakeEngine

#: 1 nano-dollar a prompt token, 2 a completion token.
MODEL = ChatModel("m", TokenPrices(1_000_000, 2_000_000), context_tokens=1000, max_completion_tokens=500)
REQUEST = ChatRequest(
    "m", {"messages": [{"role": "user", "content": "hello world"}]}, body_bytes=100, stream=False,
    max_completion_tokens=None, default_completion_tokens=1000, choices=1, include_usage=False, seed_fields=False,
)  # fmt: skip


@pytest.mark.parametrize(("asked", "default", "tokens"), [(None, 1000, 500), (None, 40, 40), (7, 1000, 7), (500, 10, 500)])
def test_completion_tokens_are_the_callers_or_the_surfaces(asked: int | None, default: int, tokens: int) -> None:
    """Never more than the model writes."""
    request = replace(REQUEST, max_completion_tokens=asked, default_completion_tokens=default)
    assert Bounds(MODEL, request).completion_tokens == tokens


def test_more_than_the_model_writes_is_refused() -> None:
    """An explicit limit is never lowered."""
    with pytest.raises(InvalidValue) as caught:
        Bounds(MODEL, replace(REQUEST, max_completion_tokens=501))
    assert caught.value.param == "max_completion_tokens"


async def test_the_prompt_is_bounded_by_its_bytes_until_it_is_counted() -> None:
    """The engine's count replaces the bound where it is lower."""
    bounds = Bounds(MODEL, REQUEST)
    assert bounds.prompt_tokens == 100 + PROMPT_OVERHEAD_TOKENS
    await bounds.count_exactly(FakeEngine(prompt_tokens=9))
    assert (bounds.prompt_tokens, bounds.exact) == (9, True)
    await bounds.count_exactly(FakeEngine(prompt_tokens=50))
    assert bounds.prompt_tokens == 9
    assert bounds.count_prompt() == 9
    assert bounds.count_prompt() == 9


async def test_a_prompt_that_the_model_cannot_read_is_refused() -> None:
    """Only once it was counted."""
    bounds = Bounds(MODEL, replace(REQUEST, body_bytes=5000))
    with pytest.raises(ContextLengthExceeded) as caught:
        await bounds.count_exactly(FakeEngine(prompt_tokens=1001))
    assert caught.value.facts["prompt_tokens"] == 1001
    await Bounds(MODEL, replace(REQUEST, body_bytes=5000)).count_exactly(FakeEngine(prompt_tokens=1000))


def test_what_is_held() -> None:
    """All of it for an explicit limit, else at least enough for a short answer; each choice costs."""
    open_, explicit = Bounds(MODEL, REQUEST), Bounds(MODEL, replace(REQUEST, max_completion_tokens=100))
    assert (open_.min_nusd(), open_.wanted_nusd()) == (116 + 2 * MIN_COMPLETION_TOKENS, 116 + 2 * 500)
    assert explicit.min_nusd() == explicit.wanted_nusd() == 116 + 2 * 100
    assert Bounds(MODEL, replace(REQUEST, max_completion_tokens=100, choices=3)).wanted_nusd() == 116 + 6 * 100
    short = Bounds(MODEL, replace(REQUEST, default_completion_tokens=5))
    assert short.min_nusd() == short.wanted_nusd()


@given(st.integers(0, 10**5), st.integers(1, 8), st.integers(0, 10**5))
def test_what_is_granted_pays_for_the_limit_told(body_bytes: int, choices: int, more: int) -> None:
    """Whatever lies between the least and what is wanted; one token more for each choice would not be paid."""
    bounds = Bounds(MODEL, replace(REQUEST, body_bytes=body_bytes, choices=choices))
    granted = min(bounds.min_nusd() + more, bounds.wanted_nusd())
    tokens = bounds.affordable_tokens(granted, bounds.wanted_tokens())
    assert min(MIN_COMPLETION_TOKENS, bounds.completion_tokens) <= tokens <= bounds.completion_tokens
    assert bounds.cost_nusd(tokens) <= granted
    if tokens < bounds.completion_tokens:
        assert bounds.cost_nusd(tokens + 1) > granted


async def test_a_cap_is_measured_at_the_exact_count() -> None:
    """Counted only where the bound is over it; the error names both amounts."""
    engine = FakeEngine(prompt_tokens=9)
    request = replace(REQUEST, max_completion_tokens=10)
    await Bounds(MODEL, request).check_cap(engine)
    await Bounds(MODEL, replace(request, max_cost_nusd=136)).check_cap(engine)
    assert engine.counts == 0
    await Bounds(MODEL, replace(request, max_cost_nusd=29)).check_cap(engine)
    assert engine.counts == 1
    bounds = Bounds(MODEL, replace(request, max_cost_nusd=28))
    with pytest.raises(CostCapExceeded) as caught:
        await bounds.check_cap(engine)
    assert caught.value.facts == {"param": "x-max-cost", "needed": "0.000000029", "cap": "0.000000028"}
    with pytest.raises(CostCapExceeded):
        await bounds.check_cap(engine)
    assert engine.counts == 2


def test_a_starter_answers_as_long_as_it_can() -> None:
    """It stands in for models that write far more: their limits are no mistake of the caller's."""
    request = replace(REQUEST, max_completion_tokens=4096)
    assert Bounds(replace(MODEL, starter=True), request).completion_tokens == 500


async def test_the_prompt_of_an_open_call_is_estimated_until_it_is_counted() -> None:
    """Quickly and from below, once; a count of OpenAI's own vocabulary is kept for the charge."""
    long = replace(REQUEST, body={"messages": [{"role": "user", "content": "zażółć gęślą jaźń " * 100}]}, body_bytes=9000)
    bounds = Bounds(MODEL, long)
    assert bounds.prompt_so_far() == bounds.prompt_so_far() <= bounds.count_prompt()
    assert bounds.prompt_so_far() == bounds.count_prompt()
    other = Bounds(MODEL, long)
    await other.count_exactly(FakeEngine(prompt_tokens=77))
    assert other.prompt_so_far() == 77
    assert other.count_prompt() == bounds.count_prompt()
    own = Bounds(replace(MODEL, o200k=True), long)
    await own.count_exactly(FakeEngine(prompt_tokens=77))
    assert own.prompt_so_far() == own.count_prompt() == 77
