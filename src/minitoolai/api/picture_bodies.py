"""Bodies that ask for pictures, the seed's and OpenAI's: their schemas, and the call that each is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from minitoolai.api.bodies import checked
from minitoolai.api.chat_request import shown_names
from minitoolai.core.errors import InvalidValue
from minitoolai.core.pictures import (
    DEFAULT_CFG_SCALE,
    DEFAULT_SCHEDULER,
    DEFAULT_SIDE,
    DEFAULT_STEPS,
    MAX_CFG_SCALE,
    MAX_PROMPT_CHARACTERS,
    MAX_SEED,
    MAX_SIDE,
    MAX_STEPS,
    MIN_CFG_SCALE,
    MIN_SIDE,
    MIN_STEPS,
    PictureRequest,
)
from minitoolai.core.samplers import SCHEDULERS
from minitoolai.core.webhooks import MAX_URL_CHARACTERS, check_webhook_url
from minitoolai.services.picture_call import PictureCall

#: Pictures of one call at most: OpenAI's limit (https://platform.openai.com/docs/api-reference/images/create).
MAX_PICTURES = 10

Model = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Prompt = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PROMPT_CHARACTERS)]
Negative = Annotated[str, msgspec.Meta(max_length=MAX_PROMPT_CHARACTERS)]
Scheduler = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(SCHEDULERS)})]
Steps = Annotated[int, msgspec.Meta(ge=MIN_STEPS, le=MAX_STEPS)]
CfgScale = Annotated[float, msgspec.Meta(ge=MIN_CFG_SCALE, le=MAX_CFG_SCALE)]
Side = Annotated[int, msgspec.Meta(ge=MIN_SIDE, le=MAX_SIDE)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)]

Value = TypeVar("Value")

_INTEGERS = ("steps", "width", "height", "seed", "n", "partial_images")
_SIZE = re.compile(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})")
#: What each field takes, for callers that sent something else.
_INSTEAD = {
    "model": "Name a picture model of GET /v1/models.",
    "prompt": f"Describe the picture in 1 to {MAX_PROMPT_CHARACTERS} characters.",
    "negativePrompt|negative_prompt": f"Send up to {MAX_PROMPT_CHARACTERS} characters, or leave it out.",
    "scheduler": "Send its name as text.",
    "steps": f"Send an integer from {MIN_STEPS} to {MAX_STEPS}.",
    "cfgScale|cfg_scale": f"Send a number from {MIN_CFG_SCALE:g} to {MAX_CFG_SCALE:g}.",
    "width|height": f"Send an integer from {MIN_SIDE} to {MAX_SIDE}.",
    "seed": f"Send an integer from 0 to {MAX_SEED}, or leave it out.",
    "n": f"Send an integer from 1 to {MAX_PICTURES}.",
    "webhook_url": f"Send an https URL of at most {MAX_URL_CHARACTERS} characters, or leave it out.",
    "size": f'Send "auto" or the size in pixels, like "{DEFAULT_SIDE}x{DEFAULT_SIDE}".',
    "response_format": 'Send "url" or "b64_json".',
    "output_format": "Pictures are PNG.",
    "stream": "Pictures are not streamed. Leave it out, or send false.",
    "partial_images": "Parts of pictures are not streamed. Leave it out, or send 0.",
}
#: By which a body is known to be OpenAI's.
_ONLY_OPENAIS = frozenset({"n", "size", "response_format"})


class TextToImageBody(msgspec.Struct):
    """The body of `POST /api/texttoimage/`."""

    model: Model
    prompt: Prompt
    negative_prompt: Negative | None = msgspec.field(default=None, name="negativePrompt")
    scheduler: Scheduler | None = None
    steps: Steps | None = None
    cfg_scale: CfgScale | None = msgspec.field(default=None, name="cfgScale")
    width: Side | None = None
    height: Side | None = None
    seed: Seed | None = None
    webhook_url: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_URL_CHARACTERS)] | None = None


class ImagesBody(msgspec.Struct):
    """The body of `POST /v1/images/generations`: OpenAI's fields, and the seed's beside them in both spellings."""

    model: Model
    prompt: Prompt
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_PICTURES)] | None = None
    size: Annotated[str, msgspec.Meta(pattern=rf"^(auto|{_SIZE.pattern})(?!\n)$")] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    output_format: Literal["png"] | None = None
    #: Neither is offered; refused rather than dropped, since what comes would be of another form.
    stream: Annotated[bool, msgspec.Meta(extra_json_schema={"enum": [False]})] | None = None
    partial_images: Annotated[int, msgspec.Meta(ge=0, le=0)] | None = None
    negative_prompt: Negative | None = None
    also_negative_prompt: Negative | None = msgspec.field(default=None, name="negativePrompt")
    scheduler: Scheduler | None = None
    steps: Steps | None = None
    cfg_scale: CfgScale | None = None
    also_cfg_scale: CfgScale | None = msgspec.field(default=None, name="cfgScale")
    seed: Seed | None = None


def text_to_image_call(fields: dict[str, Any], new_seed: Callable[[], int]) -> tuple[PictureCall, str]:
    """Return the call that the seed's body `fields` is, and the names of unknown fields, comma-separated.

    `new_seed` draws one where the caller gives none. Raises `InvalidValue` with the field's name.
    """
    body = checked(fields, TextToImageBody, integers=_INTEGERS, instead=_INSTEAD)
    picture = PictureRequest(
        prompt=body.prompt,
        negative_prompt=body.negative_prompt or "",
        scheduler=_scheduler(body.scheduler),
        steps=DEFAULT_STEPS if body.steps is None else body.steps,
        cfg_scale=DEFAULT_CFG_SCALE if body.cfg_scale is None else body.cfg_scale,
        width=DEFAULT_SIDE if body.width is None else body.width,
        height=DEFAULT_SIDE if body.height is None else body.height,
        seed=new_seed() if body.seed is None else body.seed,
    )
    if body.webhook_url is not None:
        check_webhook_url(body.webhook_url)
    call = PictureCall(body.model, picture, webhook_url=body.webhook_url)
    return call, shown_names(fields.keys() - _names(TextToImageBody))


def images_call(fields: dict[str, Any], new_seed: Callable[[], int]) -> tuple[PictureCall, bool, str]:
    """Return the call that OpenAI's body `fields` is, whether its pictures are wanted as base64, and the names of fields
    that change nothing. Raises as `text_to_image_call`."""
    body = checked(fields, ImagesBody, integers=_INTEGERS, instead=_INSTEAD)
    if body.stream:
        raise InvalidValue(param="stream", why="pictures are not streamed. Leave it out, or send false.")
    negative = _one_of("negative_prompt", body.negative_prompt, "negativePrompt", body.also_negative_prompt)
    cfg_scale = _one_of("cfg_scale", body.cfg_scale, "cfgScale", body.also_cfg_scale)
    size = _SIZE.match(body.size or "auto")
    width, height = (int(size[1]), int(size[2])) if size else (DEFAULT_SIDE, DEFAULT_SIDE)
    picture = PictureRequest(
        prompt=body.prompt,
        negative_prompt=negative or "",
        scheduler=_scheduler(body.scheduler),
        steps=DEFAULT_STEPS if body.steps is None else body.steps,
        cfg_scale=DEFAULT_CFG_SCALE if cfg_scale is None else cfg_scale,
        width=width,
        height=height,
        seed=new_seed() if body.seed is None else body.seed,
    )
    call = PictureCall(body.model, picture, count=body.n or 1, size_field="size", any_size=size is None)
    given = {name for name, value in fields.items() if value is not None}
    return call, body.response_format == "b64_json", shown_names(given - _names(ImagesBody))


def picture_call(fields: dict[str, Any], new_seed: Callable[[], int]) -> PictureCall:
    """Return the call that a body of either kind is, for those who only ask what it costs. Raises `InvalidValue`."""
    if fields.keys() & _ONLY_OPENAIS:
        return images_call(fields, new_seed)[0]
    return text_to_image_call(fields, new_seed)[0]


def _scheduler(name: str | None) -> str:
    if name is not None and name not in SCHEDULERS:
        raise InvalidValue(param="scheduler", why=f"there is no such scheduler. Use one of {_listed(SCHEDULERS)}.")
    return name or DEFAULT_SCHEDULER


def _one_of(name: str, value: Value | None, other: str, also: Value | None) -> Value | None:
    """Return a field that has two names. Raises `InvalidValue` where both are given and differ."""
    if value is not None and also is not None and value != also:
        raise InvalidValue(param=other, why=f"it is the same field as {name}, and differs from it. Send one of them.")
    return also if value is None else value


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _names(schema: type[msgspec.Struct]) -> set[str]:
    """Return the names of a body's fields as callers write them."""
    return set(schema.__struct_encode_fields__)
