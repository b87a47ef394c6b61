"""Figures of several gateways add up, go on after a restart, and cost next to nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prometheus_client.parser import text_string_to_metric_families

from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.ledger import CallOutcome, Settlement
from minitoolai.core.records import CallFacts, RequestRecord, request_record
from minitoolai.runtime.metrics import Metrics
from minitoolai.runtime.metrics_page import YOUNG_S, MetricsPage

SETTLEMENT = Settlement(
    UUID(int=1), 12_750, CallOutcome.COMPLETED, prompt_tokens=21, completion_tokens=16, cached_tokens=4, reasoning_tokens=2,
    first_content_ms=40,
)  # fmt: skip


def record(**facts: Any) -> RequestRecord:
    """A call of 0.3 s, refused unless it was settled."""
    status = 200 if "settlement" in facts else 401
    return request_record(
        UUID(int=1), CallFacts(**facts), route="POST /v1/chat/completions", status=status, began_at=0.0, now=0.3,
        ended_at=1e9, trace_parent=None,
    )  # fmt: skip


def paid(**more: Any) -> RequestRecord:
    """A call that was paid."""
    return record(
        asked="gpt-4o", model="gpt-4o", engine="up", attempts=1, held_nusd=20_000, held_at=0.02, settlement=SETTLEMENT,
        settled_at=0.2, **more,
    )  # fmt: skip


def metrics(file: Path | None, **gauges: float) -> Metrics:
    """The figures of one gateway."""
    return Metrics(lambda: gauges, lambda: {"up": "closed", "other": "open"}, file)


async def page(
    of: Metrics, *, database: str = "ok", jobs: Mapping[tuple[str, str], int] | None = None
) -> Mapping[str, float]:  # fmt: skip
    """Return each line of the page: what stands before its value, without our prefix, and the value.

    `jobs`: None: the database has gone when they are counted.
    """

    async def readiness() -> dict[str, Any]:
        engines = {"local": {"state": "ready"}, "up": {"state": "configured"}}
        workers = {"worker-0": {"state": "ready"}, "worker-1": {"state": "starting"}}
        return {"ready": True, "database": database, "engines": engines, "workers": workers}

    async def depths() -> Mapping[tuple[str, str], int]:
        if jobs is None:
            raise DatabaseUnavailable()
        return jobs

    text = (await MetricsPage(of, readiness, depths)()).decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert all(family.name.startswith("minitoolai_") and family.documentation for family in families)
    lines = [line.removeprefix("minitoolai_").rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


ROUTE = 'route="POST /v1/chat/completions"'
UP = 'engine="up",model="gpt-4o"'
COMPLETED = 'calls_total{engine="up",model="gpt-4o",outcome="completed"}'


async def test_jobs_are_counted_by_the_database() -> None:
    """Those that wait and those that are drawn, by engine; nothing is said of them while it is away."""
    jobs = {("sd", "queued"): 7, ("sd", "running"): 1}
    found = await page(metrics(None), jobs=jobs)
    assert {name: value for name, value in found.items() if name.startswith("jobs")} == {
        'jobs{engine="sd",state="queued"}': 7, 'jobs{engine="sd",state="running"}': 1,
    }  # fmt: skip
    assert found["picture_workers"] == 1
    for away in (await page(metrics(None)), await page(metrics(None), database="unavailable", jobs=jobs)):
        assert not [name for name in away if name.startswith("jobs")]


async def test_a_calls_figures() -> None:
    """A paid call and a refused one show in each counter as they should."""
    of = metrics(None)
    of.ended(paid(failures=[("other", "upstream_error")]))
    of.ended(record(error="invalid_api_key"))
    found = await page(of)
    assert found[f'requests_total{{error="",{ROUTE},status="200"}}'] == 1
    assert found[f'requests_total{{error="invalid_api_key",{ROUTE},status="401"}}'] == 1
    assert found[COMPLETED] == 1
    kinds = ("prompt", "cached", "completion", "reasoning")
    assert [found[f'tokens_total{{engine="up",kind="{kind}",model="gpt-4o"}}'] for kind in kinds] == [21, 4, 16, 2]
    assert found[f"cost_usd_total{{{UP}}}"] == 0.00001275
    assert found[f"shortfall_usd_total{{{UP}}}"] == 0
    assert found['engine_failures_total{engine="other",error="upstream_error"}'] == 1
    first = [
        found[f'time_to_first_token_seconds_bucket{{engine="up",le="{le}",model="gpt-4o"}}'] for le in (0.05, 0.1, "+Inf")
    ]
    assert first == [0, 1, 1]
    assert abs(found[f"time_to_first_token_seconds_sum{{{UP}}}"] - 0.06) < 1e-9
    assert found[f'request_duration_seconds_count{{model="gpt-4o",{ROUTE}}}'] == 1
    assert found[f'request_duration_seconds_count{{model="",{ROUTE}}}'] == 1
    assert found["database_up"] == found['engine_ready{engine="local"}'] == 1
    assert 'engine_ready{engine="up"}' not in found


async def test_speech_is_counted_in_what_it_is_priced_by() -> None:
    """Characters that were spoken, and seconds that were written down."""
    of = metrics(None)
    for characters, audio_ms in ((37, 0), (3, 0), (0, 2500)):
        settlement = Settlement(UUID(int=1), 1, CallOutcome.COMPLETED, characters=characters, audio_ms=audio_ms)
        of.ended(record(model="tts-1", engine="up", attempts=1, held_nusd=1, held_at=0.02, settlement=settlement))
    found = await page(of)
    assert found['characters_total{engine="up",model="tts-1"}'] == 40
    assert found['audio_seconds_total{engine="up",model="tts-1"}'] == 2.5


async def test_callers_choose_no_label() -> None:
    """A model that is not in the catalogue is `unknown`, whatever it was called."""
    of = metrics(None)
    for number in range(50):
        of.ended(record(asked=f"model-{number}", error="model_not_found"))
    found = await page(of)
    counts = [name for name in found if name.startswith("request_duration_seconds_count")]
    assert counts == [f'request_duration_seconds_count{{model="unknown",{ROUTE}}}']


async def test_gateways_add_up(tmp_path: Path) -> None:
    """Whichever gateway is asked shows all of them; gauges of one that has gone do not count."""
    gateways = [
        metrics(tmp_path / f"gateway-{number}.metrics", open_calls=2.0, loop_lag_seconds=number) for number in range(3)
    ]
    for number, gateway in enumerate(gateways):
        for _ in range(number + 1):
            gateway.ended(paid())
        gateway._gauges = dict(gateway._read_gauges())
        gateway.flush()
    long_ago = time.time() - YOUNG_S - 1
    os.utime(tmp_path / "gateway-2.metrics", (long_ago, long_ago))
    pages = [await page(gateway) for gateway in gateways[:2]]
    for found in pages:
        assert found[f'requests_total{{error="",{ROUTE},status="200"}}'] == 6
        assert found["open_calls"] == 4
        assert found["loop_lag_seconds"] == 1
        assert found["gateways"] == 2
        assert found['engine_state{engine="other",state="open"}'] == found['engine_state{engine="up",state="closed"}'] == 2
        assert found['engine_state{engine="up",state="open"}'] == 0


async def test_counters_go_on_after_a_restart(tmp_path: Path) -> None:
    """A gateway that is started again begins where its predecessor's file ended: no counter falls."""
    file = tmp_path / "gateway-0.metrics"
    first = metrics(file)
    first.ended(paid(failures=[("up", "upstream_timeout")]))
    first.flush()
    second = metrics(file)
    second.ended(paid(failures=[("up", "upstream_timeout")]))
    found = await page(second)
    assert found[COMPLETED] == 2
    assert found['engine_failures_total{engine="up",error="upstream_timeout"}'] == 2


async def test_a_file_that_cannot_be_read_or_written_harms_nothing(tmp_path: Path) -> None:
    """Half a file counts for nothing; a folder that is gone ends no gateway."""
    (tmp_path / "gateway-1.metrics").write_bytes(b"\x95half")
    of = metrics(tmp_path / "gateway-0.metrics")
    of.ended(paid())
    assert (await page(of))[COMPLETED] == 1
    gone = metrics(tmp_path / "gone" / "gateway-0.metrics")
    gone.flush()
