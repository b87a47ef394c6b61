"""One call for speech between its hold and its settlement: the sound goes to its caller as it is made.

Whole sentences are paid, as the engine says them; where it does not say, all of the text or none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from minitoolai.core.catalog import SpeechModel
from minitoolai.core.errors import ApiError, MiniToolError, ServerError, UpstreamError
from minitoolai.core.inner_errors import CallerLeft
from minitoolai.core.ledger import CallOutcome, Rates, Settlement
from minitoolai.services.asked_speech import AskedSpeech
from minitoolai.services.attempts import Attempts
from minitoolai.services.calls import KeepAlive, OpenCalls
from minitoolai.services.engine_call import EngineCall
from minitoolai.services.kept_speech import MAX_KEPT_BYTES, SoundKeeper
from minitoolai.services.metering import Hold, settled_soon
from minitoolai.services.routing import Path
from minitoolai.services.speech_ports import SpeechEngine, SpeechReply


class SpeechSink(KeepAlive, Protocol):
    """Where speech goes: one caller's connection."""

    @property
    def started(self) -> bool:
        """Whether headers have gone out."""
        ...

    def granted(self, rates: Rates | None) -> None:
        """Take what the headers will say of the key's minute."""
        ...

    def begins(self, ignored: frozenset[str]) -> None:
        """Take what the headers will say of the engine that speaks: fields of the call that change nothing there, as
        `SpeechRequest` names them."""
        ...

    async def speak(self, sound: bytes) -> None:
        """Send the next bytes of the sound."""
        ...

    async def finish(self, characters: int, cost_nusd: int) -> None:
        """Say that the sound is complete, and what was paid, where the form of the reply has a place for that."""
        ...

    async def fail(self, error: ApiError) -> None:
        """Say why the sound breaks off; raises `error` where the form of the reply has no place for it."""
        ...


class SpeechAttempts(Attempts[SpeechModel, SpeechEngine]):
    """The engines of one call for speech."""

    def __init__(self, paths: Sequence[Path[SpeechModel, SpeechEngine]], model_id: str, asked: AskedSpeech) -> None:
        super().__init__(paths, model_id)
        self._request = asked.speech
        #: What the engine called last says, also once it is closed; None: it has not begun.
        self.sound: SpeechReply | None = None

    async def open(self) -> SpeechReply:
        """Call the next engine; return its reply once its sound begins. Errors: `SpeechEngine.open`."""
        self.sound = None

        async def send(path: Path[SpeechModel, SpeechEngine]) -> SpeechReply:
            self.sound = await path.engine.open(path.model, self._request)
            return self.sound

        await self._call(send)
        assert self.sound is not None
        return self.sound


class SpeechCall(EngineCall[SpeechModel, SpeechEngine]):
    """A call between its hold and its settlement."""

    def __init__(
        self,
        model: SpeechModel,
        asked: AskedSpeech,
        attempts: SpeechAttempts,
        hold: Hold,
        calls: OpenCalls,
        keeper: SoundKeeper,
    ) -> None:
        super().__init__(model, attempts, hold, calls, self._produced_nusd)
        self._asked = asked
        self._speakers = attempts
        self._keeper = keeper
        #: Whether sound has come: the caller has some of it, or is being sent the first.
        self._heard = False
        self._first_content_ms: int | None = None
        #: Seconds that the engine had to wait until the caller took what was there.
        self._caller_took_s = 0.0
        #: The sound so far, for callers that repeat their call; None: it is not kept.
        self._parts: list[bytes] | None = None if asked.repeatable is None else []
        self._size = 0

    def __exit__(self, *error: object) -> None:
        if self._heard:
            self._attempts.worked()
        super().__exit__(*error)

    async def run(self, sink: SpeechSink) -> None:
        """Speak into `sink`. Raises `ApiError` as long as it has not started and where it has no place for errors;
        `CallerLeft` at any time."""
        self._open.sink = sink
        sink.granted(self._hold.rates)
        try:
            await self._tried(partial(self._relay, sink))
            await sink.finish(self._asked.characters, await self._complete())
        except asyncio.CancelledError:
            failure = self._interrupted()
            if isinstance(failure, CallerLeft):
                raise failure from None
            await self._tell(sink, failure)
        except ApiError as error:
            await self._tell(sink, error)

    async def _relay(self, sink: SpeechSink) -> None:
        """Pass the sound on until the engine has ended it."""
        await self._open_reply()
        reply = self._speakers.sound
        assert reply is not None
        while True:
            self._open.waiting_since = self._clock()
            sound = await reply.read()
            self._open.waiting_since = None
            if not sound:
                break
            if not self._heard:
                self._heard = True
                self._first_content_ms = round((self._clock() - self._began) * 1000)
                self._attempts.answers()
                sink.begins(self._ignored())
            self._note(sound)
            began = self._clock()
            await sink.speak(sound)
            self._caller_took_s += self._clock() - began
        if not self._heard:
            raise UpstreamError(model=self._model.id)

    def _note(self, sound: bytes) -> None:
        """Keep a part of a sound that may be asked for again, unless there is too much of it."""
        if self._parts is not None:
            self._parts.append(sound)
            self._size += len(sound)
            if self._size > MAX_KEPT_BYTES:
                self._parts = None

    async def _complete(self) -> int:
        """Capture a completed call; return what was charged, in nano-dollars."""
        characters = self._asked.characters
        kept, left = None, None
        if self._parts is not None:
            cost = self._model.cost_nusd(characters)
            keeping = asyncio.ensure_future(self._keeper.keep(self._hold.id, self._parts, characters, cost))
            try:
                kept = await asyncio.shield(keeping)
            except asyncio.CancelledError:
                # The sound is complete: who lost the connection at its end finds it by repeating the call.
                left = self._interrupted()
                while not keeping.done():
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.wait({keeping})
                kept = keeping.result()
        future = self._hold.settle(self._settlement(characters, CallOutcome.COMPLETED, kept))
        self._open.paid = True
        if isinstance(left, CallerLeft):
            raise left
        settled = await settled_soon(future)
        return settled.charged_nusd if settled is not None else self._model.cost_nusd(characters)

    async def _tell(self, sink: SpeechSink, error: MiniToolError) -> None:
        """End a sound that breaks off, or raise `error` while there is none; the call is settled first."""
        await self._end()
        shown = error if isinstance(error, ApiError) else ServerError()
        if not sink.started:
            raise shown
        self._hold.facts.error = shown.code
        await sink.fail(shown)

    def _ignored(self) -> frozenset[str]:
        speech = self._asked.speech
        return frozenset(name for name in self._attempts.engine.ignores if getattr(speech, name) is not None)

    def _relayed(self) -> bool:
        return self._heard

    def _broken_off(self) -> Settlement:
        """Return how a call ends that was not completed."""
        # A caller that took so long that the time of the call is over has left it, whoever it is waited for just then.
        slow = self._clock() >= self._until and 2 * self._caller_took_s > self._until - self._began
        gone = slow or isinstance(self._open.reason, CallerLeft)
        outcome = CallOutcome.ABANDONED if gone else CallOutcome.CUT if self._heard else CallOutcome.FAILED
        return self._settlement(self._spoken(gone=gone), outcome)

    def _spoken(self, *, gone: bool) -> int:
        """Return the characters that are paid of a call that ends now: of an engine that does not say how far it is, all of
        them where the caller left and got some sound, none where the sound broke off."""
        reply = self._speakers.sound
        if reply is None or not self._heard:
            return 0
        if reply.spoken is None:
            return self._asked.characters if gone else 0
        return self._asked.characters_of(reply.spoken)

    def _produced_nusd(self) -> int:
        return self._model.cost_nusd(self._spoken(gone=False))

    def _settlement(self, characters: int, outcome: CallOutcome, reply: bytes | None = None) -> Settlement:
        return Settlement(
            hold_id=self._hold.id,
            cost_nusd=self._model.cost_nusd(characters),
            outcome=outcome,
            characters=characters,
            character_nusd_per_1m=self._model.character_nusd_per_1m,
            engine=self._attempts.engine.name,
            first_content_ms=self._first_content_ms,
            reply=reply,
        )
