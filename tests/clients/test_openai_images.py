"""Pictures through OpenAI's package for Python, drawn by an upstream that speaks OpenAI's own API."""

from __future__ import annotations

from base64 import b64decode
from decimal import Decimal

import requests

from tests.clients.conftest import Visit
from tests.support.client_programs import ClientProgram
from tests.support.pictures import opened

PRICE_NUSD = 40_000_000


def test_pictures_by_link(openai_python: ClientProgram, visit: Visit) -> None:
    """As many as were asked; each link leads to the file; the package reads what stands beside them."""
    found = openai_python.ask("images", key=visit.key, n=2, size="1536x1024", quality="high")
    reply = found["reply"]
    assert [opened(requests.get(each["url"], timeout=30).content).size for each in reply["data"]] == [(1536, 1024)] * 2
    assert reply["created"] > 0
    assert (reply["usage"]["total_tokens"], reply["usage"]["cost"]) == (0, 0.08)
    assert Decimal(found["cost"]) * 10**9 == visit.spent_nusd() == 2 * PRICE_NUSD


def test_a_picture_in_base64(openai_python: ClientProgram, visit: Visit) -> None:
    """With the seed's own fields in `extra_body`; the size is left to the model."""
    extra = {"negative_prompt": "blue", "steps": 8, "cfg_scale": 3, "seed": 7, "scheduler": "Euler a"}
    found = openai_python.ask("images", key=visit.key, response_format="b64_json", extra_body=extra)
    (only,) = found["reply"]["data"]
    assert opened(b64decode(only["b64_json"])).size == (1024, 1024)
    assert only["seed"] == 7
    assert visit.spent_nusd() == PRICE_NUSD


def test_what_is_refused(openai_python: ClientProgram, visit: Visit) -> None:
    """By the class that its users catch; nothing is charged."""
    for fields, kind, status, param in (
        ({"size": "512x512"}, "BadRequestError", 400, "size"),
        ({"n": 11}, "BadRequestError", 400, "n"),
        ({"model": "gpt-4o"}, "BadRequestError", 400, "model"),
        ({"model": "dall-e-9"}, "NotFoundError", 404, "model"),
    ):
        found = openai_python.ask("images_refused", key=visit.key, fields=fields)
        assert (found["class"], found["status_code"], found["param"]) == (kind, status, param)
    assert visit.spent_nusd() == 0
