"""Whatever body comes to Anthropic's API, it is understood or refused."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from minitoolai.api.chat_request import OPENAI, chat_request
from minitoolai.api.messages.request import message_asked
from minitoolai.core.errors import ApiError, InvalidValue
from tests.support.faithful_values import png

TEXT = {"type": "text", "text": "a"}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(8, 8).partition(",")[2]}}

_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(0, 2) | st.text(max_size=3)
_json = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)
_blocks = st.sampled_from(
    [
        TEXT, PICTURE, {"type": "tool_use", "id": "t", "name": "n", "input": {}}, {"type": "thinking"},
        {"type": "tool_result", "tool_use_id": "t", "content": [TEXT, PICTURE]}, {"type": "document"}, {},
    ]
)  # fmt: skip
_message = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "tool"]),
        "content": _json | st.lists(_blocks | _json, max_size=3),
    }
)
_NAMES = [
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "metadata",
    "stop_sequences",
    "stream",
    "top_p",
    "x",
]


@given(st.lists(_message, min_size=1, max_size=3), st.dictionaries(st.sampled_from(_NAMES), _json, max_size=3))
def test_whatever_comes(taken: list[dict[str, Any]], fields: dict[str, Any]) -> None:
    """It is OpenAI's chat body, or refused by a field of the caller's own body: never anything else."""
    found = refused = None
    try:
        found = message_asked({"model": "m", "max_tokens": 5, "messages": taken, **fields})
    except InvalidValue as error:
        refused = str(error.param)
    if found is None:
        assert re.split(r"[.\[]", refused or "")[0] in {"messages", *fields}
        return
    with contextlib.suppress(ApiError):
        chat_request(found.chat, 1, OPENAI)
    assert all(place.split("[")[0] in {"messages", "system", "tools"} for place in found.places.values())
