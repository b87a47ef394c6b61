"""One call for a transcription between its hold and its settlement. It costs what the sound is long, or nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from minitoolai.core.catalog import TranscriptionModel
from minitoolai.core.errors import ApiError, UpstreamError
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome, Rates, Settled, Settlement
from minitoolai.core.money import NUSD_PER_USD
from minitoolai.core.transcript import Transcript, TranscriptEvents
from minitoolai.core.transcription import TranscriptionRequest
from minitoolai.services.attempts import Attempts
from minitoolai.services.calls import OpenCalls
from minitoolai.services.chat_call import StreamingSink
from minitoolai.services.engine_call import EngineCall
from minitoolai.services.metering import Hold, settled_soon
from minitoolai.services.ports import EngineReply
from minitoolai.services.routing import Path
from minitoolai.services.speech_ports import TranscriptionEngine

#: A reply larger than this is a fault of the engine: 24 h of speech with the time of each word are some 13 MB.
MAX_REPLY_BYTES = 32 * 1024 * 1024
#: A reply larger than this is read off the event loop: reading takes about 5 ms a megabyte.
LARGE_REPLY_BYTES = 1024 * 1024
#: Seconds that an engine may find a sound longer than we do: OpenAI's count whole ones.
TOLERATED_S = 1.0

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class MeasuredCall:
    """A sound that is to be written down, and what that costs."""

    model: TranscriptionModel
    request: TranscriptionRequest
    milliseconds: int

    @property
    def cost_nusd(self) -> int:
        """What it costs."""
        return self.model.cost_nusd(self.milliseconds)


@dataclass(frozen=True, slots=True)
class TranscriptionReply:
    """A finished reply."""

    #: In the format that was asked for; JSON has the usage, with the cost.
    body: bytes
    cost_nusd: int
    #: The account's balance after the capture; None when the database was away at that moment.
    balance_nusd: int | None
    #: How the key's minute stands.
    rates: Rates | None = None
    #: Whether it is the reply of an earlier call, given again.
    replayed: bool = False


class KeptTranscription(msgspec.Struct, frozen=True):
    """A finished reply as it is kept for callers that repeat their call."""

    cost_nusd: int
    #: As `TranscriptionReply.body`, also of a call that was streamed.
    body: bytes


class TranscriptionAttempts(Attempts[TranscriptionModel, TranscriptionEngine]):
    """The engines of one call for a transcription."""

    def __init__(self, paths: Sequence[Path[TranscriptionModel, TranscriptionEngine]], call: MeasuredCall) -> None:
        super().__init__(paths, call.model.id)
        self._request = call.request

    async def open(self) -> EngineReply:
        """Call the next engine; return its reply once its headers are there. Errors: `TranscriptionEngine.open`."""
        return await self._call(lambda path: path.engine.open(path.model, self._request))


class TranscriptionCall(EngineCall[TranscriptionModel, TranscriptionEngine]):
    """A call between its hold and its settlement."""

    def __init__(self, call: MeasuredCall, attempts: TranscriptionAttempts, hold: Hold, calls: OpenCalls) -> None:
        super().__init__(call.model, attempts, hold, calls, lambda: 0)
        self._call = call
        #: Whether the caller has part of a stream.
        self._written = False
        self._first_content_ms: int | None = None

    def __exit__(self, *error: object) -> None:
        if self._written:
            self._attempts.worked()
        super().__exit__(*error)

    async def run_whole(self) -> TranscriptionReply:
        """Run the call and return its reply. Raises `ApiError`, `CallerLeft`."""
        transcript = await self._tried(self._whole)
        self._compare(transcript.seconds)
        try:
            body = transcript.body(self._call.milliseconds, self._cost_usd)
            settled = await self._settle(body)
        except asyncio.CancelledError:
            raise self._interrupted() from None
        balance = settled.balance_nusd if settled is not None else None
        return TranscriptionReply(body, self._call.cost_nusd, balance, self._hold.rates)

    async def run_stream(self, sink: StreamingSink) -> None:
        """Run the call into `sink`. Raises `ApiError` while `sink` has not started, `CallerLeft` at any time."""
        self._open.sink = sink
        sink.granted(self._hold.rates)
        try:
            events = await self._tried(partial(self._relay, sink))
            self._compare(events.seconds)
            await self._settle(events.body(self._call.milliseconds, self._cost_usd))
            await sink.write(events.last_frame(self._call.milliseconds, self._cost_usd))
        except asyncio.CancelledError:
            failure = self._interrupted()
            if isinstance(failure, CallerLeft):
                raise failure from None
            await self._fail(sink, failure)
        except ApiError as error:
            await self._fail(sink, error)

    async def _whole(self) -> Transcript:
        raw = await self._read_whole([], MAX_REPLY_BYTES)
        try:
            if len(raw) > LARGE_REPLY_BYTES:
                return await asyncio.to_thread(Transcript, raw, self._call.request.response_format)
            return Transcript(raw, self._call.request.response_format)
        except ValueError as error:
            log.warning("engine %s sent a reply that cannot be used: %s", self._attempts.engine.name, error)
            raise UpstreamError(model=self._model.id) from None

    async def _relay(self, sink: StreamingSink) -> TranscriptEvents:
        """Pass the engine's events on until it has ended its reply; the last is kept back."""
        reply, events = await self._open_reply(), TranscriptEvents()
        while not events.done:
            self._open.waiting_since = self._clock()
            data = await reply.read()
            self._open.waiting_since = None
            await self._write(sink, events.feed(data, MAX_REPLY_BYTES) if data else events.end())
        return events

    async def _write(self, sink: StreamingSink, frames: bytes) -> None:
        if not frames:
            return
        if not self._written:
            self._written = True
            self._first_content_ms = round((self._clock() - self._began) * 1000)
            self._attempts.answers()
        await sink.write(frames)

    async def _settle(self, body: bytes) -> Settled | None:
        """Capture a completed call, with its reply where it may be asked for again."""
        kept = None
        if self._call.request.repeatable is not None:
            kept = _encode(KeptTranscription(self._call.cost_nusd, body))
        future = self._hold.settle(self._settlement(CallOutcome.COMPLETED, paid=True, reply=kept))
        self._open.paid = True
        return await settled_soon(future)

    def _relayed(self) -> bool:
        return self._written

    def _broken_off(self) -> Settlement:
        """Return how a call ends that was not completed: it is paid only where its caller left once the engine had done
        the work, which its headers tell."""
        gone = isinstance(self._open.reason, CallerLeft)
        outcome = CallOutcome.ABANDONED if gone else CallOutcome.CUT if self._written else CallOutcome.FAILED
        return self._settlement(outcome, paid=gone and self._attempts.reply is not None)

    def _settlement(self, outcome: CallOutcome, *, paid: bool, reply: bytes | None = None) -> Settlement:
        return Settlement(
            hold_id=self._hold.id,
            cost_nusd=self._call.cost_nusd if paid else 0,
            outcome=outcome,
            audio_ms=self._call.milliseconds if paid else 0,
            audio_minute_nusd=self._model.minute_nusd,
            engine=self._attempts.engine.name,
            first_content_ms=self._first_content_ms,
            reply=reply,
        )

    @property
    def _cost_usd(self) -> float:
        return self._call.cost_nusd / NUSD_PER_USD

    def _compare(self, seconds: float | None) -> None:
        """Tell the operator of a sound that an engine, which charges for it, finds longer than we do."""
        measured = self._call.milliseconds / 1000
        if seconds is not None and seconds > measured + TOLERATED_S:
            found = (self._attempts.engine.name, self._hold.id, seconds, measured)
            log.warning("engine %s says that the sound of call %s has %.1f s, not %.1f", *found)
