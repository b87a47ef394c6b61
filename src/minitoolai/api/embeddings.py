"""`POST /v1/embeddings`, as OpenAI's (docs/reference/embeddings.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec

from minitoolai.api.bodies import checked, decode_object
from minitoolai.api.chat_request import shown_names
from minitoolai.api.paid import cost_headers, max_cost_nusd, repeatable
from minitoolai.api.quotes import Quoter
from minitoolai.core.access import Principal
from minitoolai.core.embeddings import EmbeddingRequest
from minitoolai.core.errors import InvalidValue
from minitoolai.core.quotes import Quote
from minitoolai.core.records import CallFacts
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import REPLAYED, Exchange, Headers
from minitoolai.services.access import Access
from minitoolai.services.embeddings import Embeddings

#: Texts of one call at most, and numbers of a vector: OpenAI's limit
#: (https://platform.openai.com/docs/api-reference/embeddings/create), and more than any model gives.
MAX_INPUTS = 2048
MAX_DIMENSIONS = 65_536
#: No vocabulary has more tokens.
MAX_TOKEN = 2**31 - 1
#: Fields that are handed to an engine untouched.
_PASSED = frozenset({"input", "encoding_format", "dimensions", "user"})


_TOKENS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": MAX_TOKEN}, "minItems": 1}
_TEXT = {"type": "string", "minLength": 1}
#: `input` for those who read about it: a text, its tokens, or a list of either.
_INPUT = {
    "anyOf": [
        _TEXT,
        _TOKENS,
        {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_INPUTS},
        {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": MAX_INPUTS},
    ]
}


class EmbeddingsBody(msgspec.Struct):
    """The fields that are checked by their shape; `input` has too many shapes for that."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    input: Annotated[Any, msgspec.Meta(extra_json_schema=_INPUT)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=MAX_DIMENSIONS)] | None = None
    user: str | None = None


def add_embeddings(routes: Routes, access: Access, embeddings: Embeddings, *, max_body_bytes: int) -> None:
    """Add the route."""

    async def answer(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(max_body_bytes)
        request, ignored = embedding_request(decode_object(raw))
        cap, again = max_cost_nusd(exchange), repeatable(exchange, raw)
        request = replace(request, max_cost_nusd=cap, repeatable=again)
        reply = await embeddings.embed(principal, exchange.call_id, request, exchange.facts)
        headers: Headers = [(b"x-minitoolai-ignored", ignored.encode())] if ignored else []
        headers += cost_headers(reply.cost_nusd, reply.balance_nusd, reply.rates)
        if reply.replayed:
            headers.append(REPLAYED)
        await exchange.reply(200, reply.body, headers)

    routes.add("POST", "/v1/embeddings", answer)


def embeddings_quoter(embeddings: Embeddings) -> Quoter:
    """Return what quotes the bodies of `POST /v1/embeddings`."""

    async def quote(principal: Principal, fields: dict[str, Any], _body_bytes: int, facts: CallFacts) -> Quote:
        request, _ = embedding_request(fields)
        return await embeddings.quote(principal, request, facts)

    return quote


def embedding_request(fields: dict[str, Any]) -> tuple[EmbeddingRequest, str]:
    """Return the call that OpenAI's body `fields` asks for, and the names of fields that no engine takes,
    comma-separated. Raises `InvalidValue` with the field's path."""
    body = checked(fields, EmbeddingsBody, integers=("dimensions",))
    inputs, listed = _inputs(body.input)
    request = EmbeddingRequest(
        model=body.model,
        body={name: value for name, value in fields.items() if name in _PASSED and value is not None},
        inputs=tuple(inputs),
        listed=listed,
        base64=body.encoding_format == "base64",
        dimensions=body.dimensions,
    )
    return request, shown_names(fields.keys() - _PASSED - {"model"})


def _inputs(given: Any) -> tuple[list[Any], bool]:
    """Return the texts in `input`, and whether it is a list of them: a text, its tokens, or a list of either."""
    if isinstance(given, str):
        _check_text(given, "input")
        return [given], False
    if not isinstance(given, list):
        raise InvalidValue(param="input", why="it is a text, a list of texts, or lists of tokens.")
    if not given:
        raise InvalidValue(param="input", why="it is empty. Send at least one text.")
    if isinstance(given[0], int):
        _check_text(given, "input")
        return [given], False
    if len(given) > MAX_INPUTS:
        raise InvalidValue(param="input", why=f"it has {len(given)} texts; {MAX_INPUTS} are the most of one call.")
    for index, text in enumerate(given):
        if type(text) is not type(given[0]):
            raise InvalidValue(param=f"input[{index}]", why="all entries are texts, or all are lists of tokens.")
        _check_text(text, f"input[{index}]")
    return given, True


def _check_text(text: Any, param: str) -> None:
    """Raise `InvalidValue` for what is neither a text nor a list of tokens, or has nothing in it."""
    if not isinstance(text, str | list):
        raise InvalidValue(param=param, why="it is neither a text nor a list of tokens.")
    if not text:
        raise InvalidValue(param=param, why="it is empty. Leave it out, or send some text.")
    if isinstance(text, list):
        for index, token in enumerate(text):
            if type(token) is not int or not 0 <= token <= MAX_TOKEN:
                raise InvalidValue(param=f"{param}[{index}]", why=f"a token is an integer from 0 to {MAX_TOKEN}.")
