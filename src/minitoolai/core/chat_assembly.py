"""Temporary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from minitoolai.core.sse import event, frame_data


def assemble(frames: Iterable[bytes]) -> dict[str, Any]:
    head: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for frame in b"".join(frames).split(b"\n\n"):
        if not frame.startswith(b"data: {"):
            continue
        chunk = msgspec.json.decode(frame_data(frame + b"\n\n"))
        head = chunk
        for choice in chunk["choices"]:
            own = choices.setdefault(choice.get("index", 0), {"content": None, "finish": None})
            if choice["delta"].get("content"):
                own["content"] = (own["content"] or "") + choice["delta"]["content"]
            own["finish"] = choice.get("finish_reason") or own["finish"]
    return {
        "id": head.get("id"),
        "object": "chat.completion",
        "created": head.get("created"),
        "model": head.get("model"),
        "choices": [
            {"index": i, "message": {"role": "assistant", "content": c["content"]}, "finish_reason": c["finish"]}
            for i, c in sorted(choices.items())
        ],
    }


def as_stream(body: dict[str, Any]) -> list[bytes]:
    head = {"id": body["id"], "object": "chat.completion.chunk", "created": body["created"], "model": body["model"]}
    out = []
    for choice in body["choices"]:
        out.append(
            event({**head, "choices": [{"index": choice["index"], "delta": choice["message"], "finish_reason": None}]})
        )
        out.append(
            event({**head, "choices": [{"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}]})
        )
    return out
