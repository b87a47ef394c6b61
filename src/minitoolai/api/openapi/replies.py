"""The schemas of what routes answer, in JSON Schema: what requests look like is taken from the structs that check them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from minitoolai.api.ledger import COLUMNS as LEDGER_COLUMNS
from minitoolai.api.usage import CALL_COLUMNS, GROUP_COLUMNS, SUM_COLUMNS

Schema: TypeAlias = dict[str, Any]

STRING: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
BOOLEAN: Schema = {"type": "boolean"}
#: USD as text: exact, up to 9 places.
USD: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?$", "examples": ["0.00001275"]}
COST: Schema = {"type": "number", "minimum": 0, "description": "What the call was charged, in USD."}
REQUEST_ID: Schema = {"type": "string", "pattern": "^req_[0-9a-f]{32}$"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
DAY: Schema = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "examples": ["2026-11-24"]}


def nullable(schema: Schema) -> Schema:
    """Return `schema` or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def constant(*values: str) -> Schema:
    """Return the schema of one of some words."""
    return {"type": "string", "enum": list(values)}


def record(fields: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, text: str = "") -> Schema:
    """Return the schema of an object with these fields, and maybe others."""
    schema: Schema = {"type": "object", "required": list(fields), "properties": {**fields, **(optional or {})}}
    return {**schema, "description": text} if text else schema


def rows(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


_COLUMNS: Mapping[str, Schema] = {
    "request_id": REQUEST_ID, "started_at": MOMENT, "ended_at": MOMENT, "at": MOMENT, "day": DAY,
    "id": STRING, "key_id": nullable({"type": "integer"}), "key_name": nullable(STRING), "model": nullable(STRING),
    "engine": nullable(STRING), "outcome": constant("completed", "failed", "cut", "abandoned", "expired"),
    "kind": constant("credit", "capture", "expiry", "late_capture", "shortfall"), "amount": USD,
    "prompt_tokens": COUNT, "cached_tokens": COUNT, "completion_tokens": COUNT, "reasoning_tokens": COUNT, "calls": COUNT,
    "images": COUNT, "characters": COUNT, "audio_seconds": SECONDS, "counted_by_gateway": BOOLEAN, "input_usd_per_1m": USD,
    "cached_input_usd_per_1m": USD, "output_usd_per_1m": USD, "usd_per_1m_characters": USD, "usd_per_minute": USD,
    "fees": USD, "service_tier": nullable(STRING), "first_content_ms": nullable(COUNT), "held": USD, "cost": USD,
}  # fmt: skip


def _page(*kinds: Schema) -> Schema:
    return record({"object": constant("list"), "data": rows({"anyOf": list(kinds)}), "next": nullable(STRING)})


def _row(columns: tuple[str, ...]) -> Schema:
    return record({name: _COLUMNS[name] for name in columns})


_ENTRY = record({**{name: _COLUMNS[name] for name in LEDGER_COLUMNS}, "request_id": nullable(REQUEST_ID)})
_GROUPED = record(
    {name: _COLUMNS[name] for name in SUM_COLUMNS},
    {name: _COLUMNS[name] for columns in GROUP_COLUMNS.values() for name in columns},
)
USAGE_PAGE = _page(_row(CALL_COLUMNS), _GROUPED)
LEDGER_PAGE = _page(_ENTRY)

_CHAT_USAGE = record(
    {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT, "cost": COST},
    {"prompt_tokens_details": {"type": "object"}, "completion_tokens_details": {"type": "object"}},
)
COMPLETION = record(
    {"choices": rows(record({"index": COUNT, "message": {"type": "object"}})), "usage": _CHAT_USAGE},
    {"id": STRING, "object": constant("chat.completion"), "created": COUNT, "model": STRING},
    "The engine's reply, its usage with the cost.",
)
RESPONSE = record(
    {
        "id": STRING, "object": constant("response"), "created_at": COUNT, "model": STRING,
        "status": constant("completed", "incomplete"), "output": rows(record({"type": STRING})), "store": BOOLEAN,
        "usage": record({"input_tokens": COUNT, "output_tokens": COUNT, "total_tokens": COUNT, "cost": COST}),
    }
)  # fmt: skip
MESSAGE = record(
    {
        "id": STRING, "type": constant("message"), "role": constant("assistant"), "model": STRING,
        "content": rows(record({"type": constant("text", "thinking", "tool_use")})),
        "stop_reason": constant("end_turn", "max_tokens", "tool_use", "refusal", "stop_sequence"),
        "stop_sequence": nullable(STRING),
        "usage": record({"input_tokens": COUNT, "output_tokens": COUNT, "cost": COST}),
    }
)  # fmt: skip
COUNTED = record({"input_tokens": COUNT})
EMBEDDINGS = record(
    {
        "object": constant("list"), "model": STRING,
        "data": rows(record({"object": constant("embedding"), "index": COUNT, "embedding": {"type": ["array", "string"]}})),
        "usage": record({"prompt_tokens": COUNT, "total_tokens": COUNT, "cost": COST}),
    }
)  # fmt: skip
NEW_JOB = record({"status": constant("success"), "jobid": COUNT, "signature": STRING})


def _job(where: str, facts: Mapping[str, Schema]) -> Schema:
    """Return the schema of how a job stands; `where`: the field with its link, `facts`: what is told of one that is done."""
    done = {"status": constant("success"), where: {"type": "string", "format": "uri"}, "message": constant("success")}
    waits = {"status": constant("processing"), where: {"type": "null"}, "message": constant("queued", "running")}
    fraction: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    ended = {"status": constant("error"), where: {"type": "null"}, "message": STRING}
    return {
        "anyOf": [
            record({**done, **facts, "cost": USD}), record({**waits, "progress": fraction, "position": COUNT}),
            record(ended),
        ]
    }  # fmt: skip


JOB = _job("image_url", {"seed": nullable(COUNT)})
SPEECH_JOB = _job("audio_url", {"characters": COUNT})
IMAGES = record(
    {
        "created": COUNT,
        "data": rows(record({"seed": nullable(COUNT)}, {"url": {"type": "string", "format": "uri"}, "b64_json": STRING})),
        "usage": record({"input_tokens": COUNT, "output_tokens": COUNT, "total_tokens": COUNT, "cost": COST}),
    }
)
TRANSCRIPTION = record(
    {"text": STRING, "usage": record({"type": constant("duration", "tokens"), "cost": COST}, {"seconds": SECONDS})},
    text="The engine's reply, its usage with the cost.",
)
VOICES = record(
    {
        "object": constant("list"),
        "data": rows(
            record(
                {
                    "id": STRING, "object": constant("voice"), "name": STRING, "language": STRING,
                    "gender": nullable(constant("female", "male", "neutral")), "models": rows(STRING),
                }
            )
        ),
    }
)  # fmt: skip
_MODEL_KIND = constant("chat", "embedding", "image", "speech", "transcription")
MODEL = record(
    {
        "id": STRING, "object": constant("model"), "created": COUNT, "owned_by": STRING, "served_by": STRING,
        "type": _MODEL_KIND, "context_tokens": nullable(COUNT), "max_completion_tokens": nullable(COUNT),
    }
)  # fmt: skip
MODELS = record({"object": constant("list"), "data": rows(MODEL)})
_PRICES: Mapping[str, Schema] = {
    "input_usd_per_1m": nullable(USD), "cached_input_usd_per_1m": nullable(USD), "output_usd_per_1m": nullable(USD),
}  # fmt: skip
PRICES = record(
    {
        "object": constant("list"),
        "currency": constant("USD"),
        "data": rows(
            record(
                {
                    "id": STRING, "object": constant("price"), "type": _MODEL_KIND, "aliases": rows(STRING),
                    "starter": BOOLEAN, **_PRICES, "usd_per_image": nullable(USD), "usd_per_1m_characters": nullable(USD),
                    "usd_per_minute": nullable(USD), "vision": BOOLEAN,
                    "service_tiers": {"type": "object", "additionalProperties": record(_PRICES)},
                    "web_search_usd_per_call": nullable(USD), "context_tokens": nullable(COUNT),
                    "max_completion_tokens": nullable(COUNT),
                }
            )
        ),
    }
)  # fmt: skip
QUOTE = record(
    {
        "object": constant("quote"), "model": STRING, "max_cost": USD, "max_completion_tokens": nullable(COUNT),
        "lines": rows(
            record({"what": STRING, "count": COUNT, "usd_per_1m": nullable(USD), "cost": USD}, {"usd_per_minute": USD})
        ),
    }
)  # fmt: skip
BALANCE = record(
    {"object": constant("balance"), "balance": USD, "held": USD, "available": USD, "currency": constant("USD")},
    {
        "key": record(
            {
                "limit": USD, "limit_reset": nullable(STRING), "spent": USD, "held": USD, "remaining": USD,
                "resets_at": nullable(MOMENT),
            }
        )
    },
)  # fmt: skip
WEBHOOK_SECRET = record({"object": constant("webhook_secret"), "secret": {"type": "string", "pattern": "^whsec_"}})
HEALTH = record({"status": constant("ok")})
READINESS = record(
    {
        "status": constant("ready", "not ready", "draining"), "database": constant("ok", "unavailable"),
        "engines": {"type": "object", "additionalProperties": record({"state": STRING})},
        "workers": {"type": "object", "additionalProperties": record({"state": STRING})},
    }
)  # fmt: skip
