"""Usage that can be billed from, and usage as it is shown."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.inference import (
    MAX_PLAUSIBLE_TOKENS,
    PASSED_FIELDS,
    PRICED_FIELDS,
    READ_FIELDS,
    Usage,
    parse_usage,
    usage_object,
)

WRONG = [True, False, -1, 1.0, 1.5, math.nan, math.inf, MAX_PLAUSIBLE_TOKENS + 1, 10**30, "5", None, [], {}]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("count", [0, 1, MAX_PLAUSIBLE_TOKENS])
def test_a_count_is_a_count(count: int) -> None:
    """Zero is one too."""
    reported = {"prompt_tokens": count, "completion_tokens": count}
    assert parse_usage(reported) == Usage(count, count, reported)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_what_is_no_count_is_not_billed_from(name: str, wrong: object) -> None:
    """Booleans, negative, fractional, huge, text."""
    assert parse_usage({"prompt_tokens": 3, "completion_tokens": 4, name: wrong}) is None


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_a_missing_count_is_not_zero(name: str) -> None:
    """Else an engine that names only the prompt would answer for nothing."""
    reported = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    del reported[name]
    assert parse_usage(reported) is None


@given(JSON)
def test_any_json_is_taken(reported: Any) -> None:
    """Nothing that an engine sends raises."""
    usage = parse_usage(reported)
    assert usage is None or min(usage.prompt_tokens, usage.completion_tokens) >= 0


def test_the_caller_is_shown_counts_details_and_cost() -> None:
    """The engine's details as they are, the seed's filled in where asked."""
    reported = {
        "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 99, "queue_time": 1,
        "prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": None,
    }  # fmt: skip
    usage = Usage(3, 4, reported)
    counts = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert usage_object(usage, 0.5, details=False) == {
        **counts, "prompt_tokens_details": {"cached_tokens": 2}, "cost": 0.5,
    }  # fmt: skip
    full = usage_object(usage, 0.5, details=True)
    assert full["prompt_tokens_details"] == {"cached_tokens": 2, "audio_tokens": 0}
    assert set(full["completion_tokens_details"].values()) == {0}
    assert len(full["completion_tokens_details"]) == 4
    assert usage_object(Usage(3, 4), 0.5, details=False) == {**counts, "cost": 0.5}


def test_a_field_has_one_fate() -> None:
    """Passed on, read, or priced; never two of them."""
    assert not PASSED_FIELDS & READ_FIELDS
    assert not (PASSED_FIELDS | READ_FIELDS) & PRICED_FIELDS.keys()


def test_details_are_counts_of_their_own_tokens() -> None:
    """Of the prompt what was cached, of the completion what was reasoning; never more than there is of either."""
    details = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 30}}
    found = parse_usage({"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60, **details})
    assert found is not None
    assert (found.prompt_tokens, found.cached_tokens, found.completion_tokens, found.reasoning_tokens) == (10, 4, 50, 30)
    found = parse_usage({"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8, **details})
    assert found is not None
    assert (found.cached_tokens, found.completion_tokens, found.reasoning_tokens) == (3, 5, 5)


def test_reasoning_beside_the_completion_is_charged_with_it() -> None:
    """Some providers count it apart and say so by their total."""
    details = {"completion_tokens_details": {"reasoning_tokens": 30}}
    found = parse_usage({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45, **details})
    assert found is not None
    assert (found.prompt_tokens, found.completion_tokens, found.reasoning_tokens) == (10, 35, 30)


@pytest.mark.parametrize("wrong", [*WRONG, {"cached_tokens": -1}])
def test_details_that_are_no_counts_are_none(wrong: object) -> None:
    """The call is billed all the same, as though nothing was cached."""
    for details in (wrong, {"cached_tokens": wrong, "reasoning_tokens": wrong}):
        reported = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": details}
        found = parse_usage({**reported, "completion_tokens_details": details})
        assert found is not None
        assert (found.cached_tokens, found.reasoning_tokens) == (0, 0)
