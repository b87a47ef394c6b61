"""Which engine is tried first, which next, and which is left alone."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from minitoolai.core.catalog import ChatModel, Route
from minitoolai.core.errors import (
    ApiError,
    ContextLengthExceeded,
    EngineLacksModel,
    EngineQuotaExhausted,
    EngineRefusedRequest,
    NoEngine,
    RateLimited,
    ServiceUnavailable,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.pricing import TokenPrices
from minitoolai.services.breaker import FIRST_PAUSE_S, State
from minitoolai.services.ports import ChatEngine
from minitoolai.services.routing import Path, Router
from tests.support.fakes import FakeEngine

MODEL = ChatModel("m", TokenPrices(1, 1), 1000, 500, engine="a", others=(Route("b", "m-at-b"), Route("c")))
BROKEN = UpstreamError(model="m")


def router(*names: str, failures: int = 1, seed: int = 1) -> Router[ChatModel, ChatEngine]:
    """A router with engines of these names, whose breakers open at the first failure."""
    engines: dict[str, ChatEngine] = {name: FakeEngine(name=name) for name in names or ("a", "b", "c")}
    return Router(engines, dict.fromkeys(engines, failures), random.Random(seed))


def names(paths: list[Path[ChatModel, ChatEngine]]) -> list[str]:
    """The engines of `paths`, in order."""
    return [path.engine.name for path in paths]


def fail(path: Path[ChatModel, ChatEngine], failure: ApiError = BROKEN) -> None:
    """Call an engine, which fails."""
    visit = path.enter()
    assert visit is not None
    visit.failed(failure)


async def test_without_weights_the_order_is_that_of_the_settings() -> None:
    """Each with the model's name there."""
    paths = router().paths(MODEL)
    assert names(paths) == ["a", "b", "c"]
    assert [path.model.upstream_id for path in paths] == ["m", "m-at-b", "m"]
    assert [path.model.prices for path in paths] == [MODEL.prices] * 3


async def test_a_model_with_one_engine() -> None:
    """Goes there under its own name."""
    alone = replace(MODEL, others=(), upstream="u")
    (path,) = router().paths(alone)
    assert path.model is alone
    assert path.model.upstream_id == "u"


async def test_weights_are_shares_of_the_first_place() -> None:
    """Three to one; weight 0 only stands in."""
    weighted = replace(MODEL, weight=3, others=(Route("b", weight=1), Route("c", weight=0)))
    found = router()
    orders = Counter(tuple(names(found.paths(weighted))) for _ in range(4000))
    assert set(orders) == {("a", "b", "c"), ("b", "a", "c")}
    assert 2850 < orders["a", "b", "c"] < 3150


async def test_a_weight_of_nothing_for_the_first() -> None:
    """It stands in behind the others."""
    weighted = replace(MODEL, weight=0, others=(Route("b"),))
    assert names(router().paths(weighted)) == ["b", "a"]


async def test_an_engine_that_is_not_in_this_process_is_passed_over() -> None:
    """And a model that has no other is 503."""
    assert names(router("b").paths(MODEL)) == ["b"]
    with pytest.raises(NoEngine) as caught:
        router("z").paths(MODEL)
    assert caught.value.retry_after_s == 30


async def test_an_engine_that_keeps_failing_is_left_out() -> None:
    """Until its pause is over; then one call probes."""
    found = router()
    fail(found.paths(MODEL)[0])
    assert names(found.paths(MODEL)) == ["b", "c"]
    assert found.states() == {"a": State.OPEN, "b": State.CLOSED, "c": State.CLOSED}


async def test_all_engines_left_alone_is_503_with_the_shortest_wait() -> None:
    """Rounded up: a caller that comes a moment too early would come in vain."""
    found = router("a", "b")
    for path in found.paths(MODEL):
        fail(path)
    with pytest.raises(NoEngine) as caught:
        found.paths(MODEL)
    assert caught.value.retry_after_s == FIRST_PAUSE_S
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    "failure", [RateLimited(model="m", retry_after_s=9), EngineQuotaExhausted(model="m", retry_after_s=60),
                ServiceUnavailable(retry_after_s=3)],
)  # fmt: skip
async def test_a_busy_engine_goes_behind_the_others(failure: ApiError) -> None:
    """It is still tried when no other can."""
    found = router()
    fail(found.paths(MODEL)[0], failure)
    assert names(found.paths(MODEL)) == ["b", "c", "a"]
    assert found.states()["a"] is State.CLOSED
    for path in found.paths(MODEL)[:2]:
        fail(path)
    assert names(found.paths(MODEL)) == ["a"]


@pytest.mark.parametrize(
    ("failure", "opens"),
    [
        (BROKEN, True),
        (UpstreamTimeout(model="m"), True),
        (EngineLacksModel(model="m"), False),
        (EngineRefusedRequest(model="m", where=""), False),
        (ContextLengthExceeded(model="m", prompt_tokens=2, context_tokens=1), False),
        (RateLimited(model="m"), False),
        (EngineQuotaExhausted(model="m"), False),
        (ServiceUnavailable(), False),
    ],
)
async def test_what_a_breaker_counts(failure: ApiError, *, opens: bool) -> None:
    """What the engine is to blame for; neither the caller's mistakes nor an engine that asks to wait."""
    found = router(failures=3)
    for _ in range(3):
        fail(next(path for path in found.paths(MODEL) if path.engine.name == "a"), failure)
    assert (found.states()["a"] is State.OPEN) == opens


async def test_a_refused_request_shows_that_the_engine_lives() -> None:
    """It ends a row of failures."""
    found = router(failures=2)
    for failure in (BROKEN, EngineRefusedRequest(model="m", where=""), BROKEN):
        fail(found.paths(MODEL)[0], failure)
    assert found.states()["a"] is State.CLOSED


async def test_breakers_are_the_engines_not_the_models() -> None:
    """Another model at the same engine knows as well."""
    found = router()
    fail(found.paths(MODEL)[0])
    other: Any = replace(MODEL, id="other", others=())
    with pytest.raises(NoEngine):
        found.paths(other)
