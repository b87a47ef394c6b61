"""What is written down of a request: figures from its settlement, and no text that a caller could have put there."""

from __future__ import annotations

from uuid import UUID

import pytest

from minitoolai.core.ledger import CallOutcome, Settlement
from minitoolai.core.records import CallFacts, RequestRecord, request_record

CALL = UUID(int=7)


def record(facts: CallFacts, status: int = 200) -> RequestRecord:
    """The record of a request that arrived at 100 and ended at 103.5."""
    return request_record(
        CALL, facts, route="POST /v1/x", status=status, began_at=100.0, now=103.5, ended_at=1e9, trace_parent=None
    )


def test_a_settled_call_has_its_figures() -> None:
    """Tokens and outcome are the settlement's, times count from the arrival."""
    settlement = Settlement(
        CALL, 70, CallOutcome.CUT, prompt_tokens=5, completion_tokens=6, cached_tokens=1, reasoning_tokens=2,
        counted_by_gateway=True, first_content_ms=40,
    )  # fmt: skip
    found = record(CallFacts(held_nusd=100, held_at=100.5, settlement=settlement, settled_at=103.0))
    assert (found.outcome, found.cost_nusd, found.shortfall_nusd, found.held_nusd) == ("cut", 70, 0, 100)
    assert (found.prompt_tokens, found.cached_tokens, found.completion_tokens, found.reasoning_tokens) == (5, 1, 6, 2)
    assert (found.held_s, found.settled_s, found.duration_s, found.first_content_ms) == (0.5, 3.0, 3.5, 40)
    assert found.counted_by_gateway


def test_the_charge_is_at_most_the_hold() -> None:
    """Usage above the hold is the operator's."""
    settlement = Settlement(CALL, 130, CallOutcome.COMPLETED)
    found = record(CallFacts(held_nusd=100, held_at=100.0, settlement=settlement, settled_at=101.0))
    assert (found.cost_nusd, found.shortfall_nusd) == (100, 30)


def test_a_refused_call_has_no_figures() -> None:
    """Without a hold there is no outcome and no cost."""
    found = record(CallFacts(error="invalid_api_key"), 401)
    assert (found.outcome, found.cost_nusd, found.held_s, found.error) == (None, 0, None, "invalid_api_key")


@pytest.mark.parametrize("name", ["gpt-4o-mini", "meta-llama/Llama-3.1-8B", "ft:gpt-4o:org::id", "m@2024+x"])
def test_a_models_name_is_kept(name: str) -> None:
    """Names of models are written down as they were asked for."""
    assert record(CallFacts(asked=name)).asked == name


@pytest.mark.parametrize(
    "text", ["", "sk-abcdef", "a b", "m\nERROR forged", 'm"', "x" * 101, "\x1b[31m", "<script>", "ż", "-rf", "{m}"]
)
def test_what_is_no_name_is_left_out(text: str) -> None:
    """What could be a key, a text or a forged line is not written down."""
    assert record(CallFacts(asked=text)).asked is None
