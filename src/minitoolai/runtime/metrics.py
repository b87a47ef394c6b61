"""What this process has done so far, in figures: counted here, shown with its siblings' by `metrics_page`.

Several gateways share one listening socket, so a scrape reaches any of them. Each keeps its figures in memory and puts
them into a file of its own within `FLUSH_S`; whoever is asked adds the files up. A gateway that is started again goes on
from its predecessor's file: no counter ever falls while the server runs.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path

from minitoolai.core.records import RequestRecord
from minitoolai.runtime.figures import DURATIONS_S, Figures, FiguresFile, Key, Tally, read_figures

#: Figures are in the file so long after they changed at the latest, in seconds.
FLUSH_S = 0.1
#: How often gauges are read, in seconds.
GAUGES_S = 1.0
#: Stands for a model that is not in the catalogue: callers choose no label.
UNKNOWN = "unknown"

log = logging.getLogger(__name__)


class Metrics:
    """The figures of this process (`services.ports.Observer`).

    `gauges` and `engines` are asked once a second. `file`: where the figures are put; None: nowhere.
    """

    def __init__(
        self,
        gauges: Callable[[], Mapping[str, float]],
        engines: Callable[[], Mapping[str, str]],
        file: Path | None,
    ) -> None:
        self._file = _opened(file) if file is not None else None
        #: The file; None: the figures are nowhere but here.
        self.path = file if self._file is not None else None
        self._read_gauges = gauges
        self._read_engines = engines
        before = (read_figures(file) if file is not None else None) or Figures()
        self._tallies = dict(before.tallies)
        self._failures = {(engine, code): times for engine, code, times in before.engine_failures}
        self._counters_before = before.counters
        self._gauges: dict[str, float] = {}
        self._flushing = False

    def ended(self, record: RequestRecord) -> None:
        """Count a request that has ended."""
        model = record.model or (UNKNOWN if record.asked is not None else "")
        key = Key(record.route, record.status, record.error or "", model, record.engine or "", record.outcome or "")
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        tally.requests += 1
        tally.seconds += record.duration_s
        tally.durations[bisect_left(DURATIONS_S, record.duration_s)] += 1
        if record.first_content_ms is not None:
            first_s = (record.held_s or 0.0) + record.first_content_ms / 1000
            tally.first_seconds += first_s
            tally.firsts[bisect_left(DURATIONS_S, first_s)] += 1
        if record.outcome is not None:
            tally.prompt_tokens += record.prompt_tokens
            tally.cached_tokens += record.cached_tokens
            tally.completion_tokens += record.completion_tokens
            tally.reasoning_tokens += record.reasoning_tokens
            tally.characters += record.characters
            tally.audio_ms += record.audio_ms
            tally.cost_nusd += record.cost_nusd
            tally.shortfall_nusd += record.shortfall_nusd
        if record.attempts > 1:
            tally.failovers += record.attempts - 1
        for failure in record.failures:
            self._failures[failure] = self._failures.get(failure, 0) + 1
        if not self._flushing and self._file is not None:
            self._flushing = True
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def figures(self) -> Figures:
        """Return the figures as they are now."""
        counters = self._counters_before
        return Figures(
            list(self._tallies.items()),
            [(*failure, times) for failure, times in self._failures.items()],
            {name: counters.get(name, 0.0) + value for name, value in _process_counters().items()},
            self._gauges,
            dict(self._read_engines()),
        )

    def flush(self) -> None:
        """Put the figures into the file."""
        self._flushing = False
        if self._file is not None:
            try:
                self._file.write(self.figures())
            except OSError as error:
                log.warning("metrics cannot be written: %s", error.strerror)

    def close(self) -> None:
        """Put the figures into the file for the last time."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    async def watch(self) -> None:
        """Read the gauges, for ever."""
        loop = asyncio.get_running_loop()
        late_s = 0.0
        while True:
            self._gauges = {**self._read_gauges(), **_process_gauges(), "loop_lag_seconds": late_s}
            self.flush()
            due = loop.time() + GAUGES_S
            await asyncio.sleep(GAUGES_S)
            late_s = max(loop.time() - due, 0.0)


def _opened(path: Path) -> FiguresFile | None:
    try:
        return FiguresFile(path)
    except OSError as error:
        log.warning("metrics cannot be written: %s", error.strerror)
        return None


def _process_counters() -> dict[str, float]:
    """Return what this process has used so far."""
    collections = gc.get_stats()
    return {
        "cpu_seconds": time.process_time(),
        **{f"gc_collections_{generation}": float(stats["collections"]) for generation, stats in enumerate(collections)},
    }


def _process_gauges() -> dict[str, float]:
    """Return what this process uses now, where the system tells (Linux)."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return {"resident_memory_bytes": float(resident), "open_descriptors": float(len(os.listdir("/proc/self/fd")))}
    except (OSError, ValueError):
        return {}
