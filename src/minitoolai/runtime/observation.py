"""What watches a gateway's requests: the calls' lines in the log, the metrics, the traces, as the settings say."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from minitoolai.core.money import NUSD_PER_USD
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.call_log import CallLog
from minitoolai.runtime.metrics import Metrics
from minitoolai.runtime.traces import Traces, parse_headers
from minitoolai.services.calls import OpenCalls
from minitoolai.services.metering import Metering
from minitoolai.services.ports import Observer
from minitoolai.storage.ledger import PgLedger


class Observation:
    """The observers of one gateway, and what they need to be ended."""

    def __init__(
        self,
        boot: GatewayBoot,
        ledger: PgLedger,
        metering: Metering,
        calls: OpenCalls,
        engines: Callable[[], Mapping[str, str]],
    ) -> None:
        """`engines`: the state of each engine's breaker."""

        def gauges() -> dict[str, float]:
            return {
                "open_calls": len(calls),
                "holds_open": metering.holds.count,
                "held_usd": metering.holds.nusd / NUSD_PER_USD,
                "holds_pending": ledger.undecided,
                "settlements_pending": ledger.unsettled,
            }

        telemetry = boot.settings.telemetry
        self.metrics = Metrics(gauges, engines, Path(boot.metrics_file) if boot.metrics_file else None)
        self._log = CallLog(_to_standard_error, json=boot.json_log) if boot.settings.log.calls else None
        self._traces: Traces | None = None
        if telemetry.otlp_endpoint is not None:
            headers = parse_headers(boot.environment.get(telemetry.otlp_headers_env or ""))
            self._traces = Traces(telemetry.otlp_endpoint, headers)

    @property
    def observers(self) -> list[Observer]:
        """All of them."""
        return [each for each in (self.metrics, self._log, self._traces) if each is not None]

    def watch(self) -> asyncio.Task[None]:
        """Begin to read the gauges."""
        return asyncio.create_task(self.metrics.watch(), name="metrics")

    async def close(self) -> None:
        """Write down what is waiting."""
        self.metrics.close()
        if self._log is not None:
            self._log.flush()
        if self._traces is not None:
            await self._traces.close()


def _to_standard_error(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # whoever read it has gone
        sys.stderr.write(text)
        sys.stderr.flush()
