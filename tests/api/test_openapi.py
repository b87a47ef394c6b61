"""`/openapi.json` is true to the code: every route is described, and the server does what the document says."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minitoolai.api.openapi.document import route_names
from minitoolai.api.openapi.operations import OPERATIONS
from minitoolai.edge.statuses import STATUSES
from minitoolai.runtime.model_settings import ModelSettings
from tests.api.conftest import Serving
from tests.support.clients import Caller
from tests.support.fake_worker import MODELS, fake_worker
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMBEDDING, SPEECH = "text-embedding-3-small", "tts-1"
TRANSCRIPTION = "whisper-1"
#: Bodies by the model that answers them.
BODIES = {
    "ChatBody": "gpt-4o-mini", "ResponsesBody": "gpt-4o-mini", "MessagesBody": "gpt-4o-mini", "CountBody": "gpt-4o-mini",
    "EmbeddingsBody": EMBEDDING, "TextToImageBody": "realvision", "ImagesBody": "realvision",
    "TextToSpeechBody": SPEECH, "SpeechBody": SPEECH,
    "TranscriptionBody": TRANSCRIPTION, "SoundQuoteBody": TRANSCRIPTION,
}  # fmt: skip
#: Not `positive_data_acceptance`: what a field may hold often depends on another one, or on the model.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
    "allow_header_conformance", "ignored_auth",
)  # fmt: skip
MOST_EXAMPLES = 5
MOST_TIME_S = 120


async def document(caller: Caller) -> dict[str, Any]:
    """Get the document, without a key."""
    reply = await Caller(caller.base, "", "", 0, 0).get("/openapi.json")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    found: dict[str, Any] = reply.json
    return found


def references(node: object) -> Iterator[str]:
    """Yield every `$ref` below `node`."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


async def test_every_route_is_described(gateway: LocalGateway, caller: Caller) -> None:
    """The document has exactly the routes of the table, and so have the descriptions."""
    names = set(route_names(gateway.inside.application._routes))
    shown = await document(caller)
    described = {f"{method.upper()} {path}" for path, methods in shown["paths"].items() for method in methods}
    assert described == names == set(OPERATIONS)


async def test_the_document_hangs_together(caller: Caller) -> None:
    """Every reference leads somewhere, every status has its error, no name of ours stands in it."""
    shown = await document(caller)
    assert shown["openapi"] == "3.1.0"
    for reference in references(shown):
        node: Any = shown
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    for status in set(STATUSES.values()):
        assert f"Error{status}" in shown["components"]["responses"]
    identifiers = [operation["operationId"] for methods in shown["paths"].values() for operation in methods.values()]
    assert len(set(identifiers)) == len(identifiers)
    assert "minitoolai." not in json.dumps(shown["components"]["schemas"])
    insufficient = shown["components"]["responses"]["Error402"]["content"]["application/json"]["schema"]
    assert insufficient["properties"]["error"]["properties"]["code"]["enum"] == ["insufficient_credit"]


async def test_keys_are_asked_for_where_the_document_says(caller: Caller) -> None:
    """Without a key a route that needs one is 401, another is answered."""
    stranger = Caller(caller.base, "sk-no", "", 0, 0)
    for path, methods in (await document(caller))["paths"].items():
        for method, operation in methods.items():
            reply = await stranger.send(path.replace("{id}", "x"), method=method.upper())
            assert (reply.status == 401) == bool(operation["security"]), (method, path, reply.status)


async def test_the_server_does_what_the_document_says(
    serving: Serving, upstream: Upstream, tmp_path: Path, seed: int
) -> None:
    """Schemathesis finds no reply that the document does not describe, and no broken request that is taken."""
    models = {name: ModelSettings(engine="up") for name in (EMBEDDING, SPEECH, TRANSCRIPTION)} | MODELS
    async with serving(models=models) as gateway, fake_worker(gateway):
        caller = await gateway.caller("500")
        shown = await document(caller)
        for body, model in BODIES.items():  # most models that a machine thinks of are not there
            shown["components"]["schemas"][body]["properties"]["model"] = {"type": "string", "enum": [model]}
        vectors = shown["components"]["schemas"]["EmbeddingsBody"]["properties"]
        vectors["dimensions"] = {"enum": [3, None]}  # the upstream's vectors have three numbers
        file = tmp_path / "openapi.json"
        file.write_text(json.dumps(shown))
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")), "run", str(file), "--url", caller.base,
            "--header", f"Authorization: Bearer {caller.key}", "--checks", ",".join(CHECKS), "--continue-on-failure",
            "--phases", "examples,coverage,fuzzing", "--max-examples", str(MOST_EXAMPLES), "--no-shrink",
            "--seed", str(seed),
            "--request-timeout", "20", "--suppress-health-check", "all", "--warnings", "off", "--no-color",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(MOST_TIME_S):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, output.decode(errors="replace")
        await gateway.settle()
        assert await gateway.books.held() == 0
