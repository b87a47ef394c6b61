"""Which field of a Responses body each field of its chat body was made from: errors name what the caller sent."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from minitoolai.api.bodies import origin_of
from minitoolai.core.errors import ApiError

#: Fields of the chat body under another name than in the Responses body.
_FIELDS = {
    "messages": "input",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "include",
}
#: Levels that the chat body has and the Responses body has not.
_CHAT_LEVELS = re.compile(r"\.(?:function|json_schema)(?=[.\[]|$)|(?<=\.image_url)\.url$|\.image_url(?=\.detail$)")

_encode = msgspec.json.Encoder().encode


class Origins:
    """Paths of a chat body, each with the path that it was made from."""

    def __init__(self) -> None:
        self._paths = dict(_FIELDS)

    def note(self, path: str, origin: str) -> None:
        """Remember that `path` of the chat body, and what is below it, was made from `origin`."""
        self._paths[path] = origin

    def of(self, path: str) -> str:
        """Return where `path` of the chat body came from; `path` itself where both bodies call it the same."""
        origin, below = origin_of(path, self._paths)
        return origin + _CHAT_LEVELS.sub("", below)

    def renamed(self, error: dict[str, Any]) -> dict[str, Any]:
        """Return OpenAI's `error` object with `param`, and the fields that the message names, as the caller sent them."""
        message, param = error["message"], error.get("param")
        if param is not None:
            origin = self.of(param)
            message, param = message.replace(f"'{param}'", f"'{origin}'"), origin
        message = message.replace("max_completion_tokens", "max_output_tokens")
        return {**error, "message": message, "param": param}

    def error_body(self, error: ApiError) -> bytes:
        """Return `error` as the JSON of a reply (`Exchange.error_shape`)."""
        return _encode({"error": self.renamed(error.shown()["error"])})
