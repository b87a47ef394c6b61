"""OpenAI's images API as published (https://platform.openai.com/docs/api-reference/images/create): what it refuses, and a
picture of one colour for all else."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from tests.support.faithful_chat import Refusal
from tests.support.pictures import picture

#: Sizes of each model.
IMAGE_MODELS = {
    "dall-e-2": ("256x256", "512x512", "1024x1024"),
    "dall-e-3": ("1024x1024", "1792x1024", "1024x1792"),
    "gpt-image-1": ("1024x1024", "1536x1024", "1024x1536"),
}
_FIELDS = {"model", "prompt", "n", "size", "quality", "style", "user", "response_format"}
_FIELDS_OF_GPT = _FIELDS - {"style", "response_format"} | {"background", "moderation", "output_format", "output_compression"}
#: What no model draws.
FORBIDDEN = "forbidden"


def draw(body: dict[str, Any]) -> dict[str, Any]:
    """Return the reply to a call. Raises `Refusal`."""
    model = body.get("model", "dall-e-2")
    if model not in IMAGE_MODELS:
        raise Refusal(404, f"The model '{model}' does not exist.", code="model_not_found")
    of_gpt = model.startswith("gpt-image")
    for name in body.keys() - (_FIELDS_OF_GPT if of_gpt else _FIELDS):
        raise Refusal(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    if not body.get("prompt"):
        raise Refusal(400, "Missing required parameter: 'prompt'.", param="prompt", code="missing_required_parameter")
    size = body.get("size", "1024x1024")
    if size not in IMAGE_MODELS[model]:
        raise Refusal(400, f"Invalid value: '{size}'.", param="size", code="invalid_value")
    if FORBIDDEN in body["prompt"]:
        kind = "image_generation_user_error"
        raise Refusal(400, "Your request was rejected by the safety system.", kind=kind, code="moderation_blocked")
    width, _, height = size.partition("x")
    data = picture(size=(int(width), int(height)), color=(200, 30, 30))
    if not of_gpt and body.get("response_format", "url") == "url":
        return {"created": 1740734359, "data": [{"url": "https://images.test/1.png"}]}
    return {"created": 1740734359, "data": [{"b64_json": b64encode(data).decode()}]}
