"""From a process's start to its first answered call."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.processes import GATEWAY_CORE, Child

TIMEOUT_S = 120.0
_LOOK_S = 0.01


def chat_status(url: str, key: str, model: str) -> int | None:
    """Return the status of one chat call, None when nothing answers."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]})
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("POST", parts.path, body, headers)
        reply = connection.getresponse()
        reply.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return reply.status


def seconds_to_first_200(
    command: Sequence[str], url: str, key: str, log: Path, environment: Mapping[str, str] | None
) -> float | None:
    """Start `command` on the gateway's core, return when its first call was answered, and stop it."""
    began = time.monotonic()
    with Child(command, GATEWAY_CORE, log, environment=environment) as child:
        while time.monotonic() - began < TIMEOUT_S and child.alive:
            if chat_status(url, key, "fake") == 200:
                return time.monotonic() - began
            time.sleep(_LOOK_S)
    return None
