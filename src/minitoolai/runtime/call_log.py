"""One line for each finished request, to standard error, beside the other logs (docs/operating/log.md).

Lines are written in batches: one system call for all that ended within `FLUSH_S`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from minitoolai.core.ids import request_id
from minitoolai.core.money import format_usd
from minitoolai.core.records import RequestRecord
from minitoolai.runtime.telemetry import TextLines, timestamp

#: A line is written so long after its request at the latest, in seconds: what a killed process may not have written.
FLUSH_S = 0.05
LOGGER = "minitoolai.calls"
#: Routes that machines ask every few seconds.
QUIET = frozenset({"GET /healthz", "GET /readyz", "GET /metrics"})

_encode = msgspec.json.Encoder().encode
_text = TextLines().format


class CallLog:
    """Writes the lines (`services.ports.Observer`)."""

    def __init__(self, write: Callable[[str], object], *, json: bool) -> None:
        self._write = write
        self._line = json_line if json else text_line
        self._waiting: list[RequestRecord] = []

    def ended(self, record: RequestRecord) -> None:
        """Take a request that has ended."""
        if record.route in QUIET:
            return
        if not self._waiting:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        self._waiting.append(record)

    def flush(self) -> None:
        """Write what is waiting."""
        if self._waiting:
            records, self._waiting = self._waiting, []
            self._write("".join([f"{self._line(record)}\n" for record in records]))


def json_line(record: RequestRecord) -> str:
    """Return the line as a JSON object."""
    line = {
        "ts": timestamp(record.ended_at),
        "level": "INFO",
        "logger": LOGGER,
        "message": "call",
        "request_id": request_id(record.call_id),
        "route": record.route,
        "status": record.status,
        "error": record.error,
        "outcome": record.outcome,
        "account_id": record.account_id,
        "key_id": record.key_id,
        "model_asked": record.asked,
        "model": record.model,
        "engine": record.engine,
        "attempts": record.attempts,
        "failures": record.failures,
        "stream": record.stream,
        "replayed": record.replayed,
        "prompt_tokens": record.prompt_tokens,
        "cached_tokens": record.cached_tokens,
        "completion_tokens": record.completion_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "characters": record.characters,
        "audio_ms": record.audio_ms,
        "counted_by_gateway": record.counted_by_gateway,
        "held_nusd": record.held_nusd,
        "cost_nusd": record.cost_nusd,
        "hold_ms": _ms(record.held_s),
        "first_content_ms": record.first_content_ms,
        "duration_ms": _ms(record.duration_s),
    }
    return _encode(line).decode()


def text_line(record: RequestRecord) -> str:
    """Return the line for a person."""
    words = [request_id(record.call_id), record.route, str(record.status)]
    words += [word for word in (record.error, record.outcome, "replayed" if record.replayed else None) if word]
    if record.model or record.asked:
        words.append(f"model={record.model or record.asked}")
    if record.held_nusd:
        words.append(f"engine={record.engine} {_amount(record)}")
        words.append(f"cost={format_usd(record.cost_nusd)}")
    if record.first_content_ms is not None:
        words.append(f"first_content={record.first_content_ms}ms")
    words.append(f"{_ms(record.duration_s)}ms")
    line = logging.LogRecord(LOGGER, logging.INFO, "", 0, "%s", (" ".join(words),), None)
    line.created, line.msecs = record.ended_at, record.ended_at % 1 * 1000
    return _text(line)


def _amount(record: RequestRecord) -> str:
    """Return how much was read and written, in what the model is priced by."""
    if record.characters:
        return f"characters={record.characters}"
    if record.audio_ms:
        return f"audio={record.audio_ms}ms"
    return f"tokens={record.prompt_tokens}+{record.completion_tokens}"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
