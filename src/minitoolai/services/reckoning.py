"""What one chat call has used, and what it costs. Each row of the table in docs/concepts/money.md is a branch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from minitoolai.core.chat_stream import ChatScanner
from minitoolai.core.inference import Usage
from minitoolai.core.ledger import CallOutcome, Settlement
from minitoolai.core.partial_reply import partial_texts
from minitoolai.core.tokens import count_text
from minitoolai.services.bounds import Bounds
from minitoolai.services.chat_attempts import ChatAttempts


@dataclass
class Received:
    """What one engine has sent."""

    #: Reads a stream.
    scanner: ChatScanner
    #: The bytes of a whole reply.
    parts: list[bytes] = field(default_factory=list)
    #: The frames of a stream, where the reply may be asked for again.
    frames: list[bytes] = field(default_factory=list)
    #: Whether any has gone out to the caller.
    relayed: bool = False
    #: Milliseconds until the first content of a stream.
    first_content_ms: int | None = None


class Reckoning:
    """The books of one call."""

    def __init__(self, call_id: UUID, bounds: Bounds, attempts: ChatAttempts) -> None:
        self._call_id = call_id
        self._bounds = bounds
        self._request = bounds.request
        self._attempts = attempts
        self.received = self.begin()

    def begin(self) -> Received:
        """Forget what the last engine sent: the next is called."""
        self.received = Received(ChatScanner(seed_fields=self._request.seed_fields))
        return self.received

    def cost_nusd(self, usage: Usage) -> int:
        """Return what `usage` costs."""
        return self._bounds.charge_nusd(usage)

    def at_tier(self, usage: Usage, reply: dict[str, Any]) -> Usage:
        """Return `usage` with the service tier that was asked for, where the engine says that it served the call at it."""
        tier = self._request.tier
        return _served_at(usage, tier) if tier is not None and reply.get("service_tier") == tier else usage

    def count(self, texts: list[str] | None = None) -> Usage:
        """Count what the engine did not report: the prompt, and `texts`, or the stream's output so far."""
        reply = self._attempts.reply
        counted = reply.counted() if reply is not None else None
        if counted is not None:
            return counted
        text = self.received.scanner.text() if texts is None else "".join(texts)
        return Usage(self._bounds.count_prompt(), count_text(text))

    def settlement(self, usage: Usage, outcome: CallOutcome, reply: bytes | None = None) -> Settlement:
        """Return how the call ends that used `usage`; `reply` is kept for callers that repeat it."""
        prices = self._bounds.prices(usage.tier)
        nothing = usage.prompt_tokens == usage.completion_tokens == 0 and outcome is not CallOutcome.COMPLETED
        return Settlement(
            hold_id=self._call_id,
            cost_nusd=0 if nothing else self.cost_nusd(usage),
            outcome=outcome,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            counted_by_gateway=usage.reported is None,
            input_nusd_per_1m=prices.input_nusd_per_1m,
            output_nusd_per_1m=prices.output_nusd_per_1m,
            cached_tokens=usage.cached_tokens,
            cached_nusd_per_1m=prices.cached_input_nusd_per_1m,
            reasoning_tokens=usage.reasoning_tokens,
            fees_nusd=0 if nothing else self._bounds.fees_nusd,
            tier=usage.tier,
            engine=self._attempts.engine.name,
            first_content_ms=self.received.first_content_ms,
            reply=reply,
        )

    def broken_off(self, *, gone: bool) -> Settlement:
        """Return how a call ends that was not completed: nothing is charged before its first content, unless the
        caller left a reply that had begun (`gone`)."""
        received, outcome = self.received, CallOutcome.ABANDONED if gone else CallOutcome.FAILED
        begun = gone and self._attempts.reply is not None
        usage = Usage(0, 0)
        if self._request.stream and (begun or received.scanner.has_content):
            usage = received.scanner.final_usage or self.count()
            usage = self.at_tier(usage, received.scanner.last)
            outcome = outcome if gone else CallOutcome.CUT
        elif begun:
            usage = self.count(partial_texts(b"".join(received.parts)))
        return self.settlement(usage, outcome)

    def produced_nusd(self) -> int:
        """Return what the call has cost so far, on the low side: its process tells this at every renewal of its lease,
        and may not stop to count. Each chunk is taken for a token."""
        reply, scanner = self._attempts.reply, self.received.scanner
        if not scanner.has_content or reply is None:
            return 0
        counted = reply.counted() or Usage(self._bounds.prompt_so_far(), scanner.chunks)
        return self.cost_nusd(counted)


def _served_at(usage: Usage, tier: str) -> Usage:
    """Return `usage` as served at `tier`."""
    return Usage(
        usage.prompt_tokens, usage.completion_tokens, usage.reported, usage.cached_tokens, usage.reasoning_tokens, tier
    )
