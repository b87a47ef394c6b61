"""What `/openapi.json` says of each route: one entry for each, by its method and path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minitoolai.api.chat_request import ChatBody
from minitoolai.api.embeddings import EmbeddingsBody
from minitoolai.api.files import MEDIA_TYPES as FILE_TYPES
from minitoolai.api.job_routes import CancelBody, JobBody
from minitoolai.api.messages.schema import CountBody, MessagesBody
from minitoolai.api.openapi import replies
from minitoolai.api.openapi.replies import DAY, REQUEST_ID, Schema, constant
from minitoolai.api.paid import MAX_IDEMPOTENCY_KEY
from minitoolai.api.picture_bodies import ImagesBody, TextToImageBody
from minitoolai.api.queries import LONGEST, MOST_ROWS
from minitoolai.api.responses.body import ResponsesBody
from minitoolai.api.speech_bodies import TAG, SpeechBody, TextToSpeechBody
from minitoolai.api.transcriptions import SoundQuoteBody, TranscriptionBody
from minitoolai.api.usage import MOST_ID
from minitoolai.core.speech import MEDIA_TYPES

_QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
_PICTURE = {"model": "realvision", "prompt": "a red circle on a white ground"}
_JOB_NAMED = {"jobid": "1234567890123", "signature": "0123456789abcdefghijkl"}
_JOB_ASKED = {**_JOB_NAMED, "wait": 0}
_FILE_NAME = rf"^[0-9]{{1,16}}\.({'|'.join(FILE_TYPES)})$"
#: Refusals that any request may meet: before its path is known, and by a fault of ours.
_ANY = (400, 408, 431, 500)
#: With a key: wrong, not allowed, the database away.
_KEYED = (*_ANY, 401, 403, 503)
#: With a body.
_BODY = (*_KEYED, 413, 415)
#: Of a model that is asked or counted.
_MODEL = (*_BODY, 404, 429, 502, 504)
#: Of a job, by its signature.
_JOB = (*_ANY, 404, 413, 415, 503)
#: With money.
_PAID = (*_MODEL, 402, 409, 422)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter beside the body."""

    name: str
    place: str
    schema: Schema
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One route."""

    summary: str
    #: What 200 answers, by media type.
    reply: Mapping[str, Schema]
    errors: tuple[int, ...] = _KEYED
    #: Whether it takes a key.
    keyed: bool = True
    #: The structs that check its body, and an example.
    body: tuple[type[Any], ...] = ()
    example: Mapping[str, Any] | None = None
    #: What the body is.
    media: str = "application/json"
    parameters: tuple[Parameter, ...] = ()
    #: Headers of a reply beside `x-request-id`.
    headers: tuple[str, ...] = ()
    #: Whose shape errors have: a key of `document.SHAPES`; empty: OpenAI's.
    shape: str = ""
    #: Statuses that answer with `reply` too.
    also: tuple[int, ...] = ()
    #: Statuses that answer without a body.
    bare: tuple[int, ...] = ()


def _json(schema: Schema) -> dict[str, Schema]:
    return {"application/json": schema}


def _or_stream(schema: Schema) -> dict[str, Schema]:
    """Return both forms of a reply; what the events of a stream are, JSON Schema cannot say."""
    return {**_json(schema), "text/event-stream": {}}


def _or_csv(schema: Schema) -> dict[str, Schema]:
    return {**_json(schema), "text/csv": replies.STRING}


_PAID_PARAMETERS = (
    Parameter(
        "x-max-cost", "header", {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?$"},
        "Refuse the call where it may cost more, in USD.",
    ),
    Parameter(
        "idempotency-key", "header",
        {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "Makes a repeated call answer with the first one's reply, charged once.",
    ),
)  # fmt: skip
_PAID_HEADERS = ("x-minitoolai-cost", "x-minitoolai-balance", "x-minitoolai-ignored", "x-minitoolai-replayed", "x-ratelimit")
#: A sound that is streamed says nothing of its cost.
_SPEECH_HEADERS = ("x-minitoolai-ignored", "x-minitoolai-replayed", "x-ratelimit")
_SOUNDS: Mapping[str, Schema] = {media.partition(";")[0]: {} for media in MEDIA_TYPES.values()}
_PAGE_PARAMETERS = (
    Parameter("from", "query", DAY, "The first day, in UTC."),
    Parameter("to", "query", DAY, "The day after the last one."),
    Parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS}, "Rows of a page."),
    Parameter("after", "query", replies.STRING, "`next` of the page before."),
    Parameter("format", "query", constant("json", "csv"), "JSON, or CSV."),
)
_ID = Parameter("id", "path", {"type": "string", "minLength": 1, "maxLength": 200}, "An id.")


def _chat(summary: str) -> Operation:
    return Operation(
        summary, _or_stream(replies.COMPLETION), _PAID, body=(ChatBody,),
        example={"model": "gpt-4o-mini", "messages": _QUESTION}, parameters=_PAID_PARAMETERS, headers=_PAID_HEADERS,
    )  # fmt: skip


OPERATIONS: Mapping[str, Operation] = {
    "POST /api/chat-completions": _chat("Chat; streams unless `stream` is false."),
    "POST /v1/chat/completions": _chat("Chat, as OpenAI's chat completions."),
    "POST /v1/responses": Operation(
        "Chat, as OpenAI's Responses API; nothing is stored.", _or_stream(replies.RESPONSE), _PAID,
        body=(ResponsesBody,), example={"model": "gpt-4o-mini", "input": "What is the capital of France?"},
        parameters=_PAID_PARAMETERS, headers=_PAID_HEADERS,
    ),
    "GET /v1/responses/{id}": Operation("404: no response is stored.", {}, (*_KEYED, 404), parameters=(_ID,)),
    "DELETE /v1/responses/{id}": Operation("404: no response is stored.", {}, (*_KEYED, 404), parameters=(_ID,)),
    "POST /v1/messages": Operation(
        "Chat, as Anthropic's Messages API.", _or_stream(replies.MESSAGE), _PAID, body=(MessagesBody,),
        example={"model": "gpt-4o-mini", "max_tokens": 100, "messages": _QUESTION}, parameters=_PAID_PARAMETERS,
        headers=_PAID_HEADERS, shape="Anthropic",
    ),
    "POST /v1/messages/count_tokens": Operation(
        "The tokens of a message, at no cost.", _json(replies.COUNTED), _MODEL, body=(CountBody,),
        example={"model": "gpt-4o-mini", "messages": _QUESTION}, shape="Anthropic",
    ),
    "POST /v1/embeddings": Operation(
        "Embeddings, as OpenAI's.", _json(replies.EMBEDDINGS), _PAID, body=(EmbeddingsBody,),
        example={"model": "text-embedding-3-small", "input": "a text"}, parameters=_PAID_PARAMETERS,
        headers=_PAID_HEADERS,
    ),
    "POST /api/texttoimage": Operation(
        "A picture: makes a job.", _json(replies.NEW_JOB), _PAID, body=(TextToImageBody,), example=_PICTURE,
        parameters=_PAID_PARAMETERS, headers=("x-minitoolai-ignored", "x-minitoolai-replayed", "x-ratelimit"),
        shape="NewJob",
    ),
    "POST /api/texttoimage/jobs": Operation(
        "How a job stands, by its signature.", _json(replies.JOB), _JOB, keyed=False, body=(JobBody,),
        example=_JOB_ASKED, shape="Job",
    ),
    "POST /api/texttoimage/jobs/cancel": Operation(
        "Ends a job, by its signature or by a key of its account.", _json(replies.JOB), (*_JOB, 401, 403), keyed=False,
        body=(CancelBody,), example=_JOB_NAMED, shape="Job",
    ),
    "POST /v1/images/generations": Operation(
        "Pictures, as OpenAI's: waits for them.", _json(replies.IMAGES), _PAID, body=(ImagesBody,), example=_PICTURE,
        parameters=_PAID_PARAMETERS, headers=_PAID_HEADERS,
    ),
    "POST /api/texttospeech": Operation(
        "Speech, streamed; of a long text, a job.", {**_SOUNDS, **_json(replies.NEW_JOB)}, _PAID, body=(TextToSpeechBody,),
        example={"model": "tts-1", "text": "Hello there."}, parameters=_PAID_PARAMETERS, headers=_SPEECH_HEADERS,
        shape="NewJob",
    ),
    "POST /v1/audio/speech": Operation(
        "Speech, as OpenAI's: streamed as sound, or in events.", {**_SOUNDS, "text/event-stream": {}}, _PAID,
        body=(SpeechBody,), example={"model": "tts-1", "input": "Hello there.", "voice": "alloy"},
        parameters=_PAID_PARAMETERS, headers=_SPEECH_HEADERS,
    ),
    "GET /v1/audio/voices": Operation(
        "The voices that there are: OpenAI's names, and the engines' own.", _json(replies.VOICES), (*_KEYED, 404),
        parameters=(
            Parameter("model", "query", {"type": "string", "maxLength": LONGEST}, "Voices of one model."),
            Parameter("language", "query", {"type": "string", "pattern": f"^{TAG}$", "maxLength": 35}, "As BCP 47 tags it."),
        ),
    ),
    "POST /api/texttospeech/jobs": Operation(
        "How a long text's job stands, by its signature.", _json(replies.SPEECH_JOB), _JOB, keyed=False, body=(JobBody,),
        example=_JOB_ASKED, shape="SpeechJob",
    ),
    "POST /api/texttospeech/jobs/cancel": Operation(
        "Ends a long text's job, by its signature or by a key of its account.", _json(replies.SPEECH_JOB),
        (*_JOB, 401, 403), keyed=False, body=(CancelBody,), example=_JOB_NAMED, shape="SpeechJob",
    ),
    "POST /v1/audio/transcriptions": Operation(
        "What is said in a sound, as OpenAI's.",
        {**_or_stream(replies.TRANSCRIPTION), "text/plain": replies.STRING, "text/vtt": replies.STRING}, _PAID,
        body=(TranscriptionBody,), media="multipart/form-data", parameters=_PAID_PARAMETERS, headers=_PAID_HEADERS,
    ),
    "GET /v1/models": Operation(
        "The models that the key may use; in Anthropic's shape with the header `anthropic-version`.", _json(replies.MODELS)
    ),
    "GET /v1/models/{id}": Operation("One model.", _json(replies.MODEL), (*_KEYED, 404), parameters=(_ID,)),
    "GET /v1/balance": Operation("What the account has, and what the key may still spend.", _json(replies.BALANCE)),
    "GET /v1/usage": Operation(
        "Every call with its cost, or sums by day, model and key.", _or_csv(replies.USAGE_PAGE),
        parameters=(
            *_PAGE_PARAMETERS,
            Parameter("group_by", "query", {"type": "string", "pattern": "^(day|model|key)$"}, "Sums by: day, model, key."),
            Parameter("model", "query", {"type": "string", "maxLength": LONGEST}, "Calls of one model."),
            Parameter("key_id", "query", {"type": "integer", "minimum": 1, "maximum": MOST_ID}, "Calls of one key."),
            Parameter("request_id", "query", REQUEST_ID, "One call."),
        ),
        headers=("x-minitoolai-next",),
    ),
    "GET /v1/ledger": Operation(
        "The statement: every movement of money.", _or_csv(replies.LEDGER_PAGE), parameters=_PAGE_PARAMETERS,
        headers=("x-minitoolai-next",),
    ),
    "POST /v1/quotes": Operation(
        "The most that a call with this body may cost.", _json(replies.QUOTE), _MODEL,
        body=(ChatBody, EmbeddingsBody, TextToImageBody, ImagesBody, TextToSpeechBody, SpeechBody, SoundQuoteBody),
        example={"model": "gpt-4o-mini", "messages": _QUESTION},
    ),
    "GET /v1/webhook-secret": Operation("What the account's webhooks are verified with.", _json(replies.WEBHOOK_SECRET)),
    "GET /v1/prices": Operation("What every model costs.", _json(replies.PRICES), _ANY, keyed=False),
    "GET /files/{id}": Operation(
        "A finished picture or speech, by its signed link.", {kind: {} for kind in FILE_TYPES.values()}, (*_ANY, 404, 503),
        keyed=False, also=(206,),
        bare=(304, 416),
        parameters=(
            Parameter("id", "path", {"type": "string", "pattern": _FILE_NAME}, "The file's name."),
            Parameter("e", "query", {"type": "string", "pattern": "^[0-9]{1,12}$"}, "When the link ends; from the link."),
            Parameter("s", "query", replies.STRING, "The link's signature; from the link."),
        ),
    ),
    "GET /healthz": Operation("Whether the process lives.", _json(replies.HEALTH), _ANY, keyed=False),
    "GET /readyz": Operation("Whether it can take calls.", _json(replies.READINESS), _ANY, keyed=False, also=(503,)),
    "GET /metrics": Operation(
        "Figures for Prometheus; with the operator's token, or from the same machine.",
        {"text/plain": replies.STRING}, (*_ANY, 403), keyed=False,
    ),
    "GET /openapi.json": Operation("This document.", _json({"type": "object"}), _ANY, keyed=False),
}  # fmt: skip
