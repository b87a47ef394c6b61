"""Lines of finished requests: one JSON object each, or one line for a person."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from uuid import UUID

import pytest

from minitoolai.core.ledger import CallOutcome, Settlement
from minitoolai.core.records import CallFacts, RequestRecord, request_record
from minitoolai.runtime.call_log import FLUSH_S, CallLog, json_line, text_line
from minitoolai.runtime.telemetry import JsonLines

CALL = UUID(int=1)
SETTLEMENT = Settlement(CALL, 12_750, CallOutcome.COMPLETED, prompt_tokens=21, completion_tokens=16, first_content_ms=40)


def record(facts: CallFacts, route: str = "POST /v1/chat/completions", status: int = 200) -> RequestRecord:
    """A record of a request of 1.5 s."""
    return request_record(
        CALL, facts, route=route, status=status, began_at=0.0, now=1.5, ended_at=1795425927.25, trace_parent=None
    )


def paid() -> CallFacts:
    """What is known of a call that was paid."""
    return CallFacts(
        account_id=1000, key_id=3, asked="alias", model="gpt-4o", engine="up", stream=True, attempts=1,
        held_nusd=20_000, held_at=0.002, settlement=SETTLEMENT, settled_at=1.4,
    )  # fmt: skip


def test_a_json_line_says_everything() -> None:
    """The line is one JSON object with the documented fields."""
    line = json_line(record(paid()))
    assert "\n" not in line
    assert json.loads(line) == {
        "ts": "2026-11-23T09:25:27.250Z", "level": "INFO", "logger": "minitoolai.calls", "message": "call",
        "request_id": "req_00000000000000000000000000000001", "route": "POST /v1/chat/completions", "status": 200,
        "error": None, "outcome": "completed", "account_id": 1000, "key_id": 3, "model_asked": "alias", "model": "gpt-4o",
        "engine": "up", "attempts": 1, "failures": [], "stream": True, "replayed": False, "prompt_tokens": 21,
        "cached_tokens": 0, "completion_tokens": 16, "reasoning_tokens": 0, "characters": 0, "audio_ms": 0,
        "counted_by_gateway": False, "held_nusd": 20_000,
        "cost_nusd": 12_750, "hold_ms": 2.0, "first_content_ms": 40, "duration_ms": 1500.0,
    }  # fmt: skip


def test_a_text_line_is_short() -> None:
    """The line for a person has what matters, in the form of the other lines."""
    line = text_line(record(paid()))
    assert re.match(
        r"2026-11-2\d \d\d:\d5:27,250 INFO minitoolai.calls: req_0+1 POST /v1/chat/completions 200 completed ", line
    )
    assert line.endswith("model=gpt-4o engine=up tokens=21+16 cost=0.00001275 first_content=40ms 1500.0ms")
    spoken = Settlement(CALL, 12_750, CallOutcome.COMPLETED, characters=37)
    heard = Settlement(CALL, 12_750, CallOutcome.COMPLETED, audio_ms=1500)
    for settlement, amount in ((spoken, "characters=37"), (heard, "audio=1500ms")):
        facts = paid()
        facts.settlement = settlement
        assert f" engine=up {amount} cost=" in text_line(record(facts))
    refused = text_line(record(CallFacts(error="invalid_api_key"), status=401))
    assert refused.endswith("POST /v1/chat/completions 401 invalid_api_key 1500.0ms")


async def test_lines_are_written_together() -> None:
    """What ends within a moment is written at once; health is not written at all."""
    written: list[str] = []
    calls = CallLog(written.append, json=True)
    calls.ended(record(CallFacts(), "GET /readyz"))
    calls.ended(record(CallFacts(), "GET /v1/models"))
    calls.ended(record(CallFacts(), "GET /v1/balance"))
    assert written == []
    await asyncio.sleep(FLUSH_S * 2)
    (text,) = written
    assert [json.loads(line)["route"] for line in text.splitlines()] == ["GET /v1/models", "GET /v1/balance"]
    calls.flush()
    assert len(written) == 1


def test_other_lines_are_json_too() -> None:
    """A line with a traceback and a forged newline is one JSON object."""
    try:
        raise RuntimeError("why\nnot")
    except RuntimeError:
        entry = logging.LogRecord("a.b", logging.ERROR, "", 0, "bad\n%s", ('"x"\nERROR forged',), sys.exc_info())
    line = JsonLines().format(entry)
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"]) == ("ERROR", "a.b", 'bad\n"x"\nERROR forged')
    assert "RuntimeError: why" in found["exception"]


@pytest.mark.parametrize("name", ["m\nERROR forged", "\x1b[2J", "sk-secret"])
def test_no_line_can_be_forged(name: str) -> None:
    """What a caller names cannot begin a line of its own."""
    facts = CallFacts(asked=name)
    assert "\n" not in text_line(record(facts))
    assert "forged" not in text_line(record(facts)) + json_line(record(facts))
    assert "secret" not in text_line(record(facts)) + json_line(record(facts))
