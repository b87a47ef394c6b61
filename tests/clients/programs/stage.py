"""What every client program in Python shares: it reads scenarios from its input, line by line, and answers as JSON."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

#: The server's address without a path.
SERVER = os.environ["SERVER"]


def perform(scenarios: Mapping[str, Callable[..., object]]) -> None:
    """Do what is asked until the input ends. What packages print goes to the log."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer: dict[str, Any] = {"result": scenarios[asked["scenario"]](**asked["arguments"])}
        except Exception:  # noqa: BLE001 - whatever it is, the test is told
            answer = {"failed": traceback.format_exc()}
        answers.write(json.dumps(answer, ensure_ascii=False) + "\n")
        answers.flush()


def attempt(refusals: type[Exception], call: Callable[[], object]) -> dict[str, Any]:
    """Return what kind of error `call` ends with, what it tells, and the number of the retry that ended so ("0": none).

    Fails where it ends well.
    """
    try:
        call()
    except refusals as error:
        names = ("status_code", "code", "param", "type", "message", "request_id")
        found = {name: _plain(getattr(error, name, None)) for name in names}
        response = getattr(error, "response", None)
        request = getattr(response, "request", None)
        retries = request.headers.get("x-stainless-retry-count") if request is not None else None
        return {"class": type(error).__name__, **found, "retries": retries}
    raise AssertionError("this was to be refused")


def _plain(value: object) -> object:
    return value if isinstance(value, int | str | None) else str(value)
