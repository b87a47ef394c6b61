"""The most that a call may use and cost."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.catalog import ChatModel
from minitoolai.core.errors import ContextLengthExceeded, CostCapExceeded, InvalidValue
from minitoolai.core.inference import MIN_COMPLETION_TOKENS, ChatRequest, Usage
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


#: Its prices with one for tokens that were cached.
CACHED = TokenPrices(1_000_000, 2_000_000, 250_000)
#: The same with a dear tier, a cheap one, and a price for a search on the web.
PRICED = replace(
    MODEL,
    tiers={"priority": TokenPrices(3_000_000, 1_000_000), "flex": TokenPrices(500_000, 1_000_000, 100_000)},
    web_search_nusd=1000,
)


def asking(**fields: object) -> ChatRequest:
    """A call with more fields, of 100 tokens at most."""
    return replace(REQUEST, body={**REQUEST.body, **fields}, max_completion_tokens=100)


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


async def test_only_bytes_bound_a_prompt_of_another_vocabulary() -> None:
    """No other vocabulary's count is a bound: nothing is counted, and the engine itself knows what it can read."""
    engine = FakeEngine(prompt_tokens=9)
    engine.knows_vocabulary = False
    bounds = Bounds(MODEL, replace(REQUEST, body_bytes=5000))
    await bounds.count_exactly(engine)
    size = len(msgspec.json.encode(REQUEST.body)) + PROMPT_OVERHEAD_TOKENS
    assert (bounds.prompt_tokens, bounds.exact, bounds.closest, engine.counts) == (size, False, True, 0)
    assert bounds.prompt_so_far() < 9
    openai = Bounds(replace(MODEL, o200k=True), replace(REQUEST, body_bytes=5000))
    await openai.count_exactly(engine)
    assert (openai.prompt_tokens, openai.exact, openai.closest) == (9, True, True)


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
    await Bounds(MODEL, request).check_cap(engine, request.max_cost_nusd)
    await Bounds(MODEL, request).check_cap(engine, 136)
    assert engine.counts == 0
    await Bounds(MODEL, request).check_cap(engine, 29)
    assert engine.counts == 1
    bounds = Bounds(MODEL, request)
    with pytest.raises(CostCapExceeded) as caught:
        await bounds.check_cap(engine, 28)
    assert caught.value.facts == {"param": "x-max-cost", "needed": "0.000000029", "cap": "0.000000028"}
    with pytest.raises(CostCapExceeded):
        await bounds.check_cap(engine, 28)
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service_tier", "priority"), ("service_tier", "flex"), ("service_tier", 5), ("service_tier", ["flex"]),
        ("web_search_options", {}), ("web_search_options", {"search_context_size": "low"}), ("audio", {"voice": "alloy"}),
        ("modalities", ["text", "audio"]), ("modalities", ["audio"]), ("prediction", {"type": "content"}),
    ],
)  # fmt: skip
def test_what_changes_the_price_needs_one(name: str, value: object) -> None:
    """Refused by its name where the catalogue has no price for it."""
    with pytest.raises(InvalidValue) as caught:
        Bounds(MODEL, asking(**{name: value}))
    assert caught.value.param == name
    assert "no price" in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service_tier", None), ("service_tier", "auto"), ("service_tier", "default"), ("web_search_options", None),
        ("audio", None), ("modalities", ["text"]), ("modalities", None), ("prediction", None),
    ],
)  # fmt: skip
def test_values_that_change_no_price_are_free(name: str, value: object) -> None:
    """Held as a call without the field."""
    assert Bounds(PRICED, asking(**{name: value})).wanted_nusd() == Bounds(MODEL, asking()).wanted_nusd()


def test_a_tier_without_a_price_is_refused_beside_others() -> None:
    """As is what no price can be given for."""
    for name, value in (("service_tier", "scale"), ("audio", {}), ("prediction", {"type": "content"})):
        with pytest.raises(InvalidValue) as caught:
            Bounds(PRICED, asking(**{name: value}))
        assert caught.value.param == name


@pytest.mark.parametrize(
    ("tier", "held", "usual", "at_tier"),
    [
        # The hold takes the dearer price of each kind: the provider may serve the call at its usual tier all the same.
        ("priority", 3 * 116 + 2 * 100, 10 + 2 * 20, 3 * 10 + 20),
        ("flex", 116 + 2 * 100, 10 + 2 * 20, 10 // 2 + 20),
    ],
)
def test_a_tier_is_held_at_the_dearest_and_charged_as_served(tier: str, held: int, usual: int, at_tier: int) -> None:
    """Only the tier that was asked for changes the charge, where the engine says that it served it."""
    bounds = Bounds(PRICED, asking(service_tier=tier))
    assert bounds.wanted_nusd() == bounds.min_nusd() == held
    for served, cost in ((None, usual), ("default", usual), ("scale", usual), (tier, at_tier)):
        assert bounds.charge_nusd(Usage(10, 20, tier=served)) == cost
    assert Bounds(PRICED, asking()).charge_nusd(Usage(10, 20, tier=tier)) == usual


def test_cached_tokens_are_priced_by_the_tier() -> None:
    """A tier has its own price for them, or none."""
    flex, usual = Bounds(PRICED, asking(service_tier="flex")), Bounds(replace(PRICED, prices=CACHED), asking())
    assert flex.charge_nusd(Usage(1000, 0, cached_tokens=1000, tier="flex")) == 100
    assert flex.charge_nusd(Usage(1000, 0, cached_tokens=1000)) == 1000
    assert usual.charge_nusd(Usage(1000, 0, cached_tokens=400)) == 600 + 100
    assert usual.wanted_nusd() == Bounds(MODEL, asking()).wanted_nusd(), "a hold counts on no cache"


def test_a_search_is_held_and_charged_once() -> None:
    """Beside the tokens, whatever their number; an answer is shortened by what is left after it."""
    bounds, without = Bounds(PRICED, asking(web_search_options={})), Bounds(PRICED, asking())
    assert bounds.fees_nusd == bounds.wanted_nusd() - without.wanted_nusd() == 1000
    assert bounds.charge_nusd(Usage(10, 20)) == 1000 + 10 + 2 * 20
    open_ = Bounds(PRICED, replace(asking(web_search_options={}), max_completion_tokens=None, default_completion_tokens=400))
    assert open_.affordable_tokens(1000 + 116 + 2 * 50, open_.wanted_tokens()) == 50
