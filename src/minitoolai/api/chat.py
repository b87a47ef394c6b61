"""`POST /api/chat-completions/` (the seed's surface) and `POST /v1/chat/completions` (OpenAI's), docs/reference/api.md.

Both take OpenAI's body; they differ in what they do when the body is silent, and in the fields of a chunk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec

from minitoolai.core.errors import InvalidAmount, InvalidJson, InvalidValue
from minitoolai.core.inference import MAX_CHOICES, PASSED_FIELDS, PRICED_FIELDS, READ_FIELDS, ChatRequest
from minitoolai.core.ledger import Repeatable
from minitoolai.core.money import format_usd, parse_usd
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import REPLAYED, Exchange, Headers
from minitoolai.edge.statuses import rate_headers
from minitoolai.services.access import Access
from minitoolai.services.chat import Chat

#: Messages of one call at most: far above any conversation, below what makes validation slow.
MAX_MESSAGES = 10_000
#: Levels of lists and objects in a body at most. Decoding alone could go deeper than what comes after it.
MAX_DEPTH = 200
#: Characters of an Idempotency-Key at most (docs/reference/api.md).
MAX_IDEMPOTENCY_KEY = 255
#: Names of dropped fields shown in `x-minitoolai-ignored` at most.
MOST_IGNORED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Surface:
    """How a surface reads what the body leaves open."""

    stream_by_default: bool
    default_completion_tokens: int
    #: Whether streams always carry the usage chunk and every chunk the fields of the seed's sample.
    seed: bool


SEED = Surface(stream_by_default=True, default_completion_tokens=1000, seed=True)
OPENAI = Surface(stream_by_default=False, default_completion_tokens=4096, seed=False)


class TextPart(msgspec.Struct, tag_field="type", tag="text"):
    """A part of a message: text."""

    text: str


class RefusalPart(msgspec.Struct, tag_field="type", tag="refusal"):
    """A part of an assistant's message: its refusal."""

    refusal: str


class ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    """A part of a message: an image."""

    image_url: dict[str, Any]


class ToolFunction(msgspec.Struct):
    """The function that a tool is, or that a tool call calls."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    arguments: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    """An offered tool, or a call of one."""

    type: str
    function: ToolFunction | None = None


class ToolCall(msgspec.Struct):
    """A call of a tool in an assistant's message."""

    id: str
    type: str = "function"
    function: ToolFunction | None = None


class Message(msgspec.Struct):
    """One message of a conversation."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[TextPart | RefusalPart | ImagePart] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[ToolCall] | None = None


class StreamOptions(msgspec.Struct):
    """`stream_options`."""

    include_usage: bool | None = None


_Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
_Tokens = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]


class ChatBody(msgspec.Struct):
    """The fields that are checked here; every other one of OpenAI's is the engine's to judge."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    messages: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_completion_tokens: _Tokens | None = None
    max_tokens: _Tokens | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    tools: list[Tool] | None = None
    response_format: dict[str, Any] | None = None
    user: str | None = None


#: What goes to the engine: those that change the price only where the model has one for them (`services.bounds`).
_KEPT = PASSED_FIELDS | {"service_tier", "web_search_options", "prediction"}
_INTEGERS = ("max_completion_tokens", "max_tokens", "n", "top_logprobs", "seed")
_PATH = re.compile(r" - at `\$\.?(.*)`$")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def add_chat(routes: Routes, access: Access, chat: Chat, *, max_body_bytes: int) -> None:
    """Add both surfaces."""
    for path, surface in (("/api/chat-completions", SEED), ("/v1/chat/completions", OPENAI)):
        routes.add("POST", path, _Endpoint(surface, access, chat, max_body_bytes))


class _Endpoint:
    def __init__(self, surface: Surface, access: Access, chat: Chat, max_body_bytes: int) -> None:
        self._surface = surface
        self._access = access
        self._chat = chat
        self._max_body_bytes = max_body_bytes

    async def __call__(self, exchange: Exchange) -> None:
        principal = await self._access.identify(exchange.credentials)
        raw = await exchange.json_body(self._max_body_bytes)
        request, ignored = parse_chat(raw, self._surface)
        cap = exchange.header(b"x-max-cost")
        if cap is not None:
            request = replace(request, max_cost_nusd=_cap(cap))
        again = exchange.header(b"idempotency-key")
        if again is not None:
            request = replace(request, repeatable=_repeatable(again, exchange.path, raw))
        headers: Headers = [(b"x-minitoolai-ignored", ignored.encode())] if ignored else []
        if request.stream:
            sink = exchange.event_stream(headers)
            await self._chat.stream(principal, exchange.call_id, request, sink)
            await sink.end()
            return
        reply = await self._chat.whole(principal, exchange.call_id, request)
        headers.append((b"x-minitoolai-cost", format_usd(reply.cost_nusd).encode()))
        if reply.balance_nusd is not None:
            headers.append((b"x-minitoolai-balance", format_usd(reply.balance_nusd).encode()))
        headers += rate_headers(reply.rates)
        if reply.replayed:
            headers.append(REPLAYED)
        await exchange.reply(200, _encode(reply.body), headers)


def parse_chat(raw: bytes, surface: Surface) -> tuple[ChatRequest, str]:
    """Return the call in `raw` and the names of fields that no engine takes, comma-separated.

    Raises `InvalidJson`, `InvalidValue` with the field's path.
    """
    fields = _object(raw)
    for name in _INTEGERS:
        value = fields.get(name)
        if isinstance(value, float) and value.is_integer():
            fields[name] = int(value)
    try:
        body = msgspec.convert(fields, ChatBody)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    _check_messages(body.messages)
    _check_tools(body.tools or [], "tools")
    _check_audio(fields)
    limit = _limit(body)
    stream = surface.stream_by_default if body.stream is None else body.stream
    options = body.stream_options
    request = ChatRequest(
        model=body.model,
        body={name: value for name, value in fields.items() if name in _KEPT and value is not None},
        body_bytes=len(raw),
        stream=stream,
        max_completion_tokens=limit,
        default_completion_tokens=surface.default_completion_tokens,
        choices=body.n or 1,
        include_usage=surface.seed or bool(options and options.include_usage),
        seed_fields=surface.seed,
    )
    unknown = fields.keys() - PASSED_FIELDS - READ_FIELDS - PRICED_FIELDS.keys()
    shown = sorted(name for name in unknown if _FIELD_NAME.fullmatch(name))[:MOST_IGNORED_SHOWN]
    return request, ", ".join(shown)


def _cap(text: str) -> int:
    try:
        return parse_usd(text)
    except InvalidAmount as error:
        raise InvalidValue(param="x-max-cost", why=f"it is an amount in USD, like 0.01; {error.facts['why']}.") from None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        fields = _decode(raw)
    except RecursionError:
        raise InvalidJson(why="it is nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = "it is empty" if not raw.strip() else "it is not UTF-8"
        if isinstance(error, msgspec.DecodeError) and raw.strip():
            why = str(error).removeprefix("JSON is malformed: ")
        raise InvalidJson(why=why) from None
    if not isinstance(fields, dict):
        raise InvalidJson(why="it is not an object")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _depth(fields) > MAX_DEPTH:
        raise InvalidJson(why=f"it is nested deeper than {MAX_DEPTH} levels")
    return fields


def _depth(value: object) -> int:
    """Return how deep lists and objects are nested, without going deep oneself."""
    depth = 0
    level = [value]
    while level := [
        inner
        for outer in level
        if isinstance(outer, dict | list)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
    return depth


def _invalid(problem: str) -> InvalidValue:
    """Turn msgspec's sentence and path into ours."""
    path = _PATH.search(problem)
    param = path[1] if path else ""
    why = _PATH.sub("", problem)
    missing = re.fullmatch(r"Object missing required field `(\w+)`", why)
    if missing:
        param = f"{param}.{missing[1]}" if param else missing[1]
        return InvalidValue(param=param, why="it is required and missing.")
    why = why.replace("`", "'")
    return InvalidValue(param=param or "body", why=f"{why[0].lower()}{why[1:]}.")


def _check_messages(messages: list[Message]) -> None:
    for index, message in enumerate(messages):
        param = f"messages[{index}].content"
        if message.content is None and not (message.role == "assistant"):
            raise InvalidValue(param=param, why=f"a message of role '{message.role}' needs text.")
        _check_tools(message.tool_calls or [], f"messages[{index}].tool_calls")
        if isinstance(message.content, list):
            for part, content in enumerate(message.content):
                if isinstance(content, ImagePart):
                    raise InvalidValue(
                        param=f"{param}[{part}]", why="no model of this server reads images. Send text parts only."
                    )


def _check_tools(tools: Sequence[Tool | ToolCall], param: str) -> None:
    for index, tool in enumerate(tools):
        if tool.type == "function" and tool.function is None:
            raise InvalidValue(param=f"{param}[{index}].function", why="it is required and missing.")


def _check_audio(fields: dict[str, Any]) -> None:
    for name in ("audio", "modalities"):
        if name in fields and fields[name] not in PRICED_FIELDS[name]:
            raise InvalidValue(param=name, why="no model of this server hears or speaks in chat. Omit it.")


def _repeatable(key: str, path: str, raw: bytes) -> Repeatable:
    """Return what an `Idempotency-Key` says of a call. Raises `InvalidValue`."""
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY or not key.isprintable():
        why = f"it has 1 to {MAX_IDEMPOTENCY_KEY} printable characters, like a UUID."
        raise InvalidValue(param="idempotency-key", why=why)
    return Repeatable(key, hashlib.sha256(path.encode() + b"\0" + raw).digest())


def _limit(body: ChatBody) -> int | None:
    both = {body.max_completion_tokens, body.max_tokens} - {None}
    if len(both) > 1:
        raise InvalidValue(param="max_tokens", why="it differs from max_completion_tokens. Send one of the two.")
    return next(iter(both), None)
