"""The streams of a child's choices come back as one reply: in turns, counted once, cut together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Any, cast

import pytest

from minitoolai.core.catalog import ChatModel
from minitoolai.core.errors import NoEngine, UpstreamError
from minitoolai.core.inference import Usage
from minitoolai.core.pricing import TokenPrices
from minitoolai.core.sse import DONE, event
from minitoolai.engines.llama import LlamaReply
from minitoolai.engines.llama_choice import LlamaChoice
from minitoolai.engines.openai_upstream import OpenAIReply
from tests.support.fakes import FakeReply, Step

MODEL = ChatModel("m", TokenPrices(1, 1), 1000, 500, engine="l")


def frame(delta: dict[str, Any], *, written: int | None = None, finish: str | None = None, **more: Any) -> bytes:
    """A chunk as the child sends it, with its timings."""
    choice = {"finish_reason": finish, "index": 0, "delta": delta, **more}
    timings = {} if written is None else {"timings": {"cache_n": 3, "prompt_n": 4, "predicted_n": written}}
    return event({"choices": [choice], **_HEAD, **timings})


_HEAD = {"created": 5, "id": "c", "model": "tiny", "system_fingerprint": "b", "object": "chat.completion.chunk"}


def progress(processed: int) -> bytes:
    """What the child sends while it reads the prompt."""
    return event({"choices": [], **_HEAD, "prompt_progress": {"total": 7, "cache": 0, "processed": processed}})


def last(completion_tokens: int, prompt_tokens: int = 7) -> bytes:
    """The usage and the end."""
    usage = {
        "completion_tokens": completion_tokens, "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens, "prompt_tokens_details": {"cached_tokens": 3},
    }  # fmt: skip
    return event({"choices": [], **_HEAD, "usage": usage}) + DONE


def said(text: str, finish: str = "stop") -> list[Step]:
    """A whole choice, a token a read."""
    steps: list[Step] = [progress(7), frame({"role": "assistant", "content": None})]
    steps += [frame({"content": word}, written=number + 1) for number, word in enumerate(text.split(" "))]
    return [*steps, frame({}, finish=finish) + last(len(text.split(" ")))]


class Child:
    """A child whose streams follow their scripts."""

    def __init__(self, *scripts: list[Step] | Exception, whole: bool = False) -> None:
        self.replies = [FakeReply(script if isinstance(script, list) else []) for script in scripts]
        self.opened: list[int] = []
        #: What each opening waits for.
        self.gates: dict[int, asyncio.Event] = {}
        choices = [LlamaChoice(index, self._opening(index, script), 0) for index, script in enumerate(scripts)]
        self.reply = LlamaReply(MODEL, choices, whole=whole)

    def _opening(self, index: int, script: list[Step] | Exception) -> Callable[[], Awaitable[OpenAIReply]]:
        async def opening() -> OpenAIReply:
            if index in self.gates:
                await self.gates[index].wait()
            if isinstance(script, Exception):
                raise script
            self.opened.append(index)
            return cast(OpenAIReply, self.replies[index])

        return opening

    async def all(self) -> bytes:
        """Begin and read to the end."""
        await self.reply.begin()
        return await self.rest()

    async def rest(self) -> bytes:
        """Read to the end."""
        parts = []
        while part := await self.reply.read():
            parts.append(part)
        return b"".join(parts)


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream that ended well."""
    *frames, done = stream.split(b"\n\n")[:-1]
    assert done == b"data: [DONE]"
    return [json.loads(found.removeprefix(b"data: ")) for found in frames]


def text_of(found: list[dict[str, Any]], index: int) -> str:
    """What one choice said in a stream."""
    parts = [choice["delta"].get("content") for chunk in found for choice in chunk["choices"] if choice["index"] == index]
    return " ".join(part for part in parts if part)


@pytest.mark.parametrize("texts", [["a b c"], ["a b c", "d"], ["a", "b c", "d e f g", "h"]])
async def test_choices_come_as_one_stream(texts: list[str]) -> None:
    """Each under its index, one head, one usage with the prompt counted once, one end."""
    child = Child(*[said(text) for text in texts])
    stream = chunks(await child.all())
    assert [text_of(stream, index) for index in range(len(texts))] == texts
    assert [chunk["choices"] for chunk in stream if "usage" in chunk] == [[]]
    written = sum(len(text.split(" ")) for text in texts)
    usage = stream[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, written, 7 + written)
    assert usage["prompt_tokens_details"] == {"cached_tokens": 3}
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in stream} == {("c", 5, "tiny")}
    assert all("timings" not in chunk and "prompt_progress" not in chunk for chunk in stream)
    assert child.reply.counted() == Usage(7, written)


@pytest.mark.parametrize("texts", [["a b c"], ["a b c", "d"]])
async def test_choices_come_as_one_whole_reply(texts: list[str]) -> None:
    """In one piece, in order, with OpenAI's fields."""
    body = json.loads(await Child(*[said(text) for text in texts], whole=True).all())
    shown = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text.replace(" ", ""), "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
        for index, text in enumerate(texts)
    ]
    assert body["choices"] == shown
    assert body["object"] == "chat.completion"
    assert body["usage"]["completion_tokens"] == sum(len(text.split(" ")) for text in texts)


async def test_choices_begin_in_their_order() -> None:
    """OpenAI's client takes a choice's first chunk for the next in its list; what comes too early waits."""
    child = Child(said("a b"), said("c"), said("d"))
    child.gates = {0: asyncio.Event(), 1: asyncio.Event()}
    beginning = asyncio.create_task(child.reply.begin())
    await asyncio.sleep(0.01)
    assert child.opened == [2]
    assert not beginning.done()
    child.gates[0].set()
    await beginning
    first = await child.reply.read()
    assert b'"index":0' in first
    assert child.opened == [2, 0]
    child.gates[1].set()
    stream = chunks(first + await child.rest())
    assert [text_of(stream, index) for index in range(3)] == ["a b", "c", "d"]
    order = list(dict.fromkeys(choice["index"] for chunk in stream for choice in chunk["choices"]))
    assert order == [0, 1, 2]


async def test_none_waits_while_another_writes_on() -> None:
    """The choices take turns."""
    child = Child(said("a " * 30 + "a"), said("b " * 30 + "b"))
    order = [choice["index"] for chunk in chunks(await child.all()) for choice in chunk["choices"]]
    assert max(len(list(run)) for _, run in groupby(order)) <= 3


async def test_a_choice_that_cannot_begin_ends_all() -> None:
    """With its own error, whenever it comes; nothing is left open."""
    early = Child(NoEngine(model="m"), said("a"))
    early.gates[1] = asyncio.Event()
    with pytest.raises(NoEngine):
        await early.reply.begin()
    await asyncio.sleep(0)
    assert early.opened == []
    late = Child(said("a b"), UpstreamError(model="m"))
    late.gates[1] = asyncio.Event()
    await late.reply.begin()
    assert await late.reply.read()
    late.gates[1].set()
    with pytest.raises(UpstreamError):
        await late.rest()
    late.reply.close()
    assert late.replies[0].closed == 1


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        b"",
        UpstreamError(model="m"),
        b"data: {\n\n",
        event({"choices": 5}),
        event({"id": "c"}),
        event({**_HEAD, "choices": [], "timings": {}}),
    ],
)
async def test_a_stream_that_breaks_off_is_an_upstream_error(*, whole: bool, fault: Step) -> None:
    """One of several too; what the server had counted until then is known."""
    for scripts in ([[*said("a b")[:3], fault]], [said("c"), [*said("a b")[:3], fault]]):
        child = Child(*scripts, whole=whole)
        with pytest.raises(UpstreamError):
            await child.all()
        counted = child.reply.counted()
        assert counted is not None
        assert counted.prompt_tokens == 7
        assert counted.completion_tokens >= 1


@pytest.mark.parametrize("whole", [True, False])
async def test_an_error_in_the_stream_is_handed_on(*, whole: bool) -> None:
    """As an event for a stream, as a failure for a whole reply."""
    child = Child([*said("a b")[:3], event({"error": {"code": 500, "message": "canary"}})], whole=whole)
    if whole:
        with pytest.raises(UpstreamError):
            await child.all()
    else:
        await child.reply.begin()
        frames = b""
        while b'"error"' not in frames:
            frames = await child.reply.read()


async def test_closing_cuts_every_choice() -> None:
    """Those that write, and those that have not begun."""
    child = Child(said("a b c"), said("d e f"), said("g"))
    child.gates[2] = asyncio.Event()
    await child.reply.begin()
    await child.reply.read()
    await child.reply.read()
    child.reply.close()
    await asyncio.sleep(0)
    child.gates[2].set()
    await asyncio.sleep(0.01)
    assert child.opened == [0, 1]
    assert [reply.closed for reply in child.replies] == [1, 1, 0]


async def test_a_cancelled_beginning_leaves_nothing_open() -> None:
    """As `ChatEngine.open` promises."""
    child = Child(said("a"), said("b"))
    child.gates = {0: asyncio.Event(), 1: asyncio.Event()}
    beginning = asyncio.create_task(child.reply.begin())
    await asyncio.sleep(0.01)
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    for gate in child.gates.values():
        gate.set()
    await asyncio.sleep(0.01)
    assert child.opened == []


async def test_before_anything_is_counted_nothing_is() -> None:
    """Then the gateway counts; usage that cannot be billed from is as none."""
    child = Child(said("a"))
    assert child.reply.counted() is None
    odd = Child([*said("a b")[:3], event({**_HEAD, "choices": [], "usage": {"prompt_tokens": -1}}) + DONE])
    assert all("usage" not in chunk for chunk in chunks(await odd.all()))


async def test_logprobs_have_openais_shape() -> None:
    """Without the child's numbers of tokens, and with as many others as were asked for."""
    token = {"id": 7, "token": "a", "bytes": [97], "logprob": -0.5}
    told = {"content": [{**token, "top_logprobs": [token, {**token, "token": "b"}]}]}
    for wanted in (0, 1, 2):
        reply = FakeReply([frame({"content": "a"}, logprobs=told) + last(1)])

        async def opening(reply: FakeReply = reply) -> OpenAIReply:
            return cast(OpenAIReply, reply)

        read = LlamaReply(MODEL, [LlamaChoice(0, opening, wanted)], whole=True)
        await read.begin()
        (shown,) = json.loads(await read.read())["choices"]
        (found,) = shown["logprobs"]["content"]
        assert {name: found[name] for name in ("token", "bytes", "logprob")} == {
            "token": "a",
            "bytes": [97],
            "logprob": -0.5,
        }
        assert [other.keys() for other in found["top_logprobs"]] == [{"token", "bytes", "logprob"}] * wanted
        assert shown["logprobs"]["refusal"] is None
        assert "id" not in found
