"""A chat with one engine in memory, and a way to stop it anywhere."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from minitoolai.core.catalog import Catalog, ChatModel, Route
from minitoolai.core.errors import MiniToolError
from minitoolai.core.inference import ChatRequest, Usage
from minitoolai.core.ledger import CallOutcome
from minitoolai.core.pricing import TokenPrices
from minitoolai.core.sse import DONE, event
from minitoolai.core.tokens import prompt_tokens_floor
from minitoolai.services.calls import OpenCalls
from minitoolai.services.chat import Chat, WholeReply
from minitoolai.services.metering import Metering, new_call_id
from minitoolai.services.ports import ChatEngine
from minitoolai.services.routing import Router
from tests.support.fakes import FakeEngine, FakeLedger, FakePictures, FakeReplays, FakeSink, principal

#: 1 nano-dollar a prompt token, 2 a completion token.
MODEL = ChatModel("m", TokenPrices(1_000_000, 2_000_000), 1000, 500, engine="fake", aliases=("alias",))
BODY = {"messages": [{"role": "user", "content": "hello world"}]}
#: What the gateway counts for `BODY`, and for "hello world" as an answer.
PROMPT, ANSWER = 9, 2
#: What it takes the prompt for while it may not stop to count.
FLOOR = prompt_tokens_floor(BODY)
WHOLE = ChatRequest(
    "m", BODY, body_bytes=100, stream=False, max_completion_tokens=100, default_completion_tokens=400, choices=1,
    include_usage=False, seed_fields=False,
)  # fmt: skip
STREAM = replace(WHOLE, stream=True, include_usage=True)
USAGE = {"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}
USAGE_COST = 20 + 2 * 30
REPLY = json.dumps({"id": "c", "choices": [{"message": {"role": "assistant", "content": "hello world"}}]}).encode()
REPLY_WITH_USAGE = json.dumps({**json.loads(REPLY), "usage": USAGE}).encode()
HALF = REPLY[: REPLY.index(b"hello world") + len(b"hello world")]
ROLE = event({"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
CONTENT = event({"id": "c", "choices": [{"index": 0, "delta": {"content": "hello world"}}]})
LAST = event({"id": "c", "choices": [], "usage": USAGE})
#: What an engine that works sends, whole and streamed.
GOOD: dict[bool, tuple[bytes, ...]] = {False: (REPLY_WITH_USAGE,), True: (ROLE, CONTENT, LAST + DONE)}


class Room:
    """A chat with one engine, or with `others` to stand in for it, and a way to stop it anywhere."""

    def __init__(
        self,
        *steps: Any,
        balance: int = 10**6,
        counted: Usage | None = None,
        others: Sequence[FakeEngine] = (),
        breaker_failures: int = 0,
    ) -> None:
        self.ledger = FakeLedger(balance)
        self.engine = FakeEngine(*steps, counted=counted, prompt_tokens=PROMPT)
        self.calls = OpenCalls()
        self.engines = {engine.name: engine for engine in (self.engine, *others)}
        model = replace(MODEL, others=tuple(Route(engine.name) for engine in others))
        catalog = Catalog([model, replace(MODEL, id="other", engine="elsewhere", aliases=())])
        self.pictures, self.replays = FakePictures(), FakeReplays()
        engines: dict[str, ChatEngine] = dict(self.engines)
        self.router: Router[ChatModel, ChatEngine] = Router(
            engines, dict.fromkeys(engines, breaker_failures), random.Random(1)
        )
        self.chat = Chat(catalog, self.router, Metering(self.ledger), self.calls, self.pictures, self.replays)
        self.sink = FakeSink()
        #: Set when the call has come to where it is stopped.
        self.there = asyncio.Event()

    async def whole(self, request: ChatRequest = WHOLE) -> WholeReply:
        """Run a whole call."""
        return await self.chat.whole(principal(), new_call_id(), request)

    async def stream(self, request: ChatRequest = STREAM) -> None:
        """Run a streamed call."""
        await self.chat.stream(principal(), new_call_id(), request, self.sink)

    def hang(self) -> asyncio.Future[bytes]:
        """A step that never ends."""
        self.there.set()
        return asyncio.get_running_loop().create_future()

    async def ended(self, cost: int, outcome: CallOutcome) -> None:
        """Assert that the call was settled exactly once, so, and that nothing is left of it."""
        self.ledger.paused = False
        await asyncio.sleep(0.005)
        (settlement,) = self.ledger.settlements
        (result,) = self.ledger.results
        assert (settlement.cost_nusd, settlement.outcome) == (cost, outcome)
        assert result.charged_nusd == cost
        assert settlement.hold_id == self.ledger.asked[-1].id
        assert self.ledger.balance == 10**6 - cost
        assert self.ledger.held == 0
        assert len(self.calls) == 0
        if cost:
            assert (settlement.input_nusd_per_1m, settlement.output_nusd_per_1m) == (1_000_000, 2_000_000)

    async def refused(self, error: type[MiniToolError], run: Callable[[], Any]) -> MiniToolError:
        """Assert that a call fails before anything was held."""
        with pytest.raises(error) as caught:
            await run()
        assert type(caught.value) is error
        assert self.ledger.settlements == []
        assert self.ledger.held == 0
        assert self.engine.limits == []
        assert len(self.calls) == 0
        return caught.value


def error_event(text: str) -> str:
    """The code of the error event that ends a stream."""
    last = text.strip().split("\n\n")[-1].removeprefix("data: ")
    return str(json.loads(last)["error"]["code"])


def second(*steps: Any, name: str = "second", **more: Any) -> FakeEngine:
    """An engine that stands in."""
    return FakeEngine(*steps, name=name, **more)


async def run(room: Room, *, streamed: bool) -> None:
    """Run a call of either kind."""
    await (room.stream() if streamed else room.whole())


def said(room: Room) -> str:
    """What a stream's caller received as content."""
    frames = [json.loads(frame[6:]) for frame in room.sink.text.split("\n\n") if frame.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for chunk in frames for choice in chunk.get("choices", ()))
