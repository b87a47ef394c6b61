"""The HTTP part of any server that speaks OpenAI's API: connections, refusals, replies read as they come.

The caller's fields were chosen by an allow-list before they come here; no header of the upstream goes back. A sent
POST is never repeated, no redirect is followed, nothing is decompressed, proxies of the environment are ignored.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import aiohttp
import msgspec

from minitoolai.core.catalog import Model, TokenModel
from minitoolai.core.errors import (
    ContextLengthExceeded,
    EngineLacksModel,
    EngineQuotaExhausted,
    EngineRefusedRequest,
    RateLimited,
    ServiceUnavailable,
    UpstreamError,
    UpstreamTimeout,
)
from minitoolai.core.inference import Usage

#: Idle connections are dropped before the usual servers drop them, since a POST lost that way is not repeated.
KEEP_IDLE_S = 15.0
#: Of an error's body so much is read: what is of use stands at its beginning.
MAX_ERROR_BYTES = 64 * 1024
#: What Retry-After of an upstream is believed, in seconds.
RETRY_AFTER_BOUNDS_S = (1, 60)

_PARAM = re.compile(r"[a-z_]{1,40}(?:\.[a-z_]{1,40}|\[\d{1,4}\]){0,8}")
#: What llama.cpp's server answers, as a fault of its own, to a text that is longer than what it embeds.
_TOO_LARGE = re.compile(r"input \((\d+) tokens\) is too large to process.*batch size: (\d+)")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """How to reach one upstream and what it is known to refuse."""

    #: Up to and without `/chat/completions`.
    base_url: str
    api_key: str | None = None
    #: Path of a Unix socket to reach it by, in place of the host in `base_url`.
    socket: str | None = None
    connect_s: float = 5.0
    #: Until the headers of the reply; a whole reply's come when it is finished.
    first_byte_s: float = 300.0
    between_bytes_s: float = 120.0
    total_s: float = 1800.0
    #: Whether it understands `stream_options`; without, tokens of streams are counted by the gateway.
    stream_options: bool = True
    #: What it calls the limit: `max_completion_tokens` or `max_tokens`.
    max_tokens_field: str = "max_completion_tokens"
    #: Whether connections are used again.
    reuse: bool = True
    #: Whether it fetches pictures by their URL itself.
    fetches_images: bool = True


class OpenAIUpstream:
    """One upstream."""

    def __init__(self, name: str, settings: UpstreamSettings) -> None:
        self.name = name
        self.settings = settings
        self._base = settings.base_url.rstrip("/")
        self._headers = {"accept-encoding": "identity", "user-agent": "MiniToolAI"}
        if settings.api_key:
            self._headers["authorization"] = f"Bearer {settings.api_key}"
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, model: Model, body: Mapping[str, Any]) -> OpenAIReply:
        """Send a call; return its reply once the headers are there. Errors: see `ports.ChatEngine.open`."""
        return await self._post(path, model, body, body)

    async def post_form(self, path: str, model: Model, form: aiohttp.FormData, fields: Collection[str]) -> OpenAIReply:
        """Send a call whose body is a form with these fields. Otherwise as `post`."""
        return await self._post(path, model, form, fields)

    async def _post(
        self, path: str, model: Model, body: Mapping[str, Any] | aiohttp.FormData, fields: Collection[str]
    ) -> OpenAIReply:
        try:
            async with asyncio.timeout(self.settings.first_byte_s):
                response = await self._send(path, body)
        except TimeoutError as error:
            raise UpstreamTimeout(model=model.id) from error
        except (aiohttp.ClientError, OSError) as error:
            log.warning("engine %s cannot be reached: %s", self.name, type(error).__name__)
            raise UpstreamError(model=model.id) from error
        if response.status != 200:
            await self._refuse(model, fields, response)
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            response.close()
            log.warning("engine %s answered with Content-Encoding %s, which was not asked for", self.name, encoding)
            raise UpstreamError(model=model.id)
        return OpenAIReply(model.id, response)

    async def ask(self, path: str, body: Mapping[str, Any], *, limit: int = MAX_ERROR_BYTES) -> dict[str, Any] | None:
        """Post `body` to `path` of the server and return its JSON object, of at most `limit` bytes; None for anything
        else."""
        try:
            async with asyncio.timeout(self.settings.first_byte_s):
                response = await self._send(path, body)
                async with response:
                    answer = _decode(await _beginning(response, limit))
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return answer if response.status == 200 and isinstance(answer, dict) else None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _send(self, path: str, body: Mapping[str, Any] | aiohttp.FormData) -> aiohttp.ClientResponse:
        data: bytes | aiohttp.FormData
        if isinstance(body, aiohttp.FormData):
            data, headers = body, self._headers
        else:
            data, headers = _encode(body), {"content-type": "application/json", **self._headers}
        return await self._http().post(self._base + path, data=data, headers=headers, allow_redirects=False)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            options: dict[str, Any] = {"limit": 0, "keepalive_timeout": KEEP_IDLE_S}
            if not self.settings.reuse:
                options = {"limit": 0, "force_close": True}
            socket = self.settings.socket
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(socket, **options) if socket else aiohttp.TCPConnector(**options),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.settings.connect_s),
                auto_decompress=False,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _refuse(self, model: Model, fields: Collection[str], response: aiohttp.ClientResponse) -> NoReturn:
        """Raise what a status other than 200 means for the caller."""
        error = await _error_object(response)
        status, code = response.status, error.get("code")
        retry_after = _retry_after_s(response.headers)
        log.warning("engine %s answered %d (%s) for model %s", self.name, status, _word(code), model.id)
        if status == 429 and "insufficient_quota" not in (code, error.get("type")):
            raise RateLimited(model=model.id, retry_after_s=retry_after)
        if status in (402, 429):
            log.error("engine %s is out of quota: top it up", self.name)
            raise EngineQuotaExhausted(model=model.id, retry_after_s=60)
        if status in (401, 403):
            log.error("engine %s refuses its own credentials: check api_key_env", self.name)
            raise UpstreamError(model=model.id)
        too_long = code == "context_length_exceeded" or error.get("type") == "exceed_context_size_error"
        if too_long and isinstance(model, TokenModel):
            raise _too_long(model, _count(error.get("n_prompt_tokens")), model.context_tokens)
        if found := _TOO_LARGE.search(str(error.get("message"))):
            raise _too_long(model, found[1], int(found[2]))
        if status in (400, 413, 422):
            param = error.get("param")
            known = isinstance(param, str) and _PARAM.fullmatch(param) and _root(param) in fields
            raise EngineRefusedRequest(param=param if known else None, model=model.id, where=f": '{param}'" if known else "")
        if status == 404:
            log.error("engine %s has no such model or path: check base_url and the model's upstream", self.name)
            raise EngineLacksModel(model=model.id)
        if status == 503:
            raise ServiceUnavailable(retry_after_s=retry_after)
        raise UpstreamError(model=model.id)


class OpenAIReply:
    """The body of one reply, read as it comes."""

    __slots__ = ("_model", "_response")

    def __init__(self, model: str, response: aiohttp.ClientResponse) -> None:
        self._model = model
        self._response = response

    @property
    def media_type(self) -> str:
        """What the body is, as its headers say, without parameters; `application/octet-stream` where they do not."""
        return self._response.content_type

    async def read(self) -> bytes:
        """Return the next bytes, b"" at a clean end. Raises `UpstreamError` when the connection breaks."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(model=self._model) from error

    def counted(self) -> Usage | None:
        """Nothing: such a server tells its count at the end, if at all."""
        return None

    def close(self) -> None:
        """Keep the connection when the reply was read to its end; cut it off at once otherwise."""
        if self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()


async def _beginning(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the first `limit` bytes of a body, all of them where it is shorter."""
    body = b""
    while len(body) < limit and (part := await response.content.read(limit - len(body))):
        body += part
    return body


async def _error_object(response: aiohttp.ClientResponse) -> Mapping[str, Any]:
    """Return the `error` object of an OpenAI-shaped body; {} for anything else. Closes the response."""
    try:
        async with asyncio.timeout(5):
            body = _decode(await _beginning(response, MAX_ERROR_BYTES))
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    finally:
        response.close()
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _too_long(model: Model, tokens: str, most: int) -> ContextLengthExceeded:
    return ContextLengthExceeded(param="messages", model=model.id, context_tokens=most, prompt_tokens=tokens)


def _retry_after_s(headers: Mapping[str, str]) -> int:
    least, most = RETRY_AFTER_BOUNDS_S
    try:
        return min(max(round(float(headers.get("retry-after", "1"))), least), most)
    except (ValueError, OverflowError):
        return least


def _root(param: str) -> str:
    return re.split(r"[.\[]", param, maxsplit=1)[0]


def _word(code: object) -> str:
    """Return an upstream's error code for the log, where it is a plain word."""
    return code if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,60}", code) else "no code"


def _count(tokens: object) -> str:
    return str(tokens) if isinstance(tokens, int) else "more"
