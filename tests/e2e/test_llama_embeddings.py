"""A local model that embeds: vectors of its own, tokens by its own count, and what it does not do."""

from __future__ import annotations

import base64
import math
import random
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gguf
import pytest

from tests.support import tiny_encoder, tiny_gguf
from tests.support.databases import PostgresForTests
from tests.support.llama_child import LlamaChild, short_folder
from tests.support.servers import ProductServer, product_server

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: local embeddings are NOT TESTED")
requests = pytest.importorskip("requests")

#: What the tiny model reads, and numbers of its vectors.
CONTEXT, WIDTH = 512, tiny_gguf.WIDTH
SETTINGS = """
[engines.vectors]
kind = "llama"
model_path = "{folder}/e.gguf"
embeddings = true
parallel = 2

[engines.encoder]
kind = "llama"
model_path = "{folder}/b.gguf"
embeddings = true

[models.bert]
kind = "embedding"
engine = "encoder"
input_usd_per_1m = "1000"
context_tokens = 128

[models.tiny]
kind = "embedding"
engine = "vectors"
input_usd_per_1m = "1000"
context_tokens = 512
dimensions = 64

[models.careless]
kind = "embedding"
engine = "vectors"
input_usd_per_1m = "1000"
"""
#: Nano-dollars of a token.
PRICE = 10**6


@pytest.fixture(scope="module")
def server(embedded_server: PostgresForTests, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductServer]:
    """The product with two models of noise that embed: a decoder, and an encoder as most of today's are."""
    folder: Path = tmp_path_factory.mktemp("vectors")
    tiny_gguf.make(folder / "e.gguf", context_tokens=CONTEXT, pooling=gguf.PoolingType.MEAN)
    tiny_encoder.make(folder / "b.gguf")
    with embedded_server.database() as url, product_server(folder, url) as product:
        product.configure(SETTINGS.format(folder=folder))
        product.start()
        for engine in ("vectors", "encoder"):
            product.wait_engine(engine)
        yield product


@pytest.fixture(scope="module")
def key(server: ProductServer) -> str:
    """A key with money."""
    return server.make_key("100")


def embed(server: ProductServer, key: str, given: Any, *, path: str = "/v1/embeddings", **fields: Any) -> Any:
    """Call."""
    headers = {"authorization": f"Bearer {key}", **fields.pop("headers", {})}
    body = {"model": "tiny", "input": given, **fields}
    return requests.post(server.base + path, json=body, headers=headers, timeout=60)


def test_vectors_are_the_models_and_tokens_are_charged_exactly(server: ProductServer, key: str) -> None:
    """Finite, of length 1, of the model's width, the same for the same text; the statement agrees with the count."""
    reply = embed(server, key, ["hello world", "a", "hello world"], dimensions=WIDTH)
    assert reply.status_code == 200, reply.text
    vectors = [item["embedding"] for item in reply.json()["data"]]
    assert [len(vector) for vector in vectors] == [WIDTH] * 3
    for vector in vectors:
        assert math.sqrt(sum(number * number for number in vector)) == pytest.approx(1, abs=1e-5)
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-5)
    assert math.dist(vectors[0], vectors[1]) > 0.1
    usage = reply.json()["usage"]
    assert usage == {"prompt_tokens": 5, "total_tokens": 5, "cost": 5 * PRICE / 10**9}
    assert reply.headers["x-minitoolai-cost"] == "0.005"
    assert server.json("account", "show", "test")["balance"] == "99.995"
    assert server.json("account", "show", "test")["held"] == "0"


def test_an_encoder_counts_what_it_puts_around_a_text(server: ProductServer, key: str) -> None:
    """A token for each letter, one before and one behind; what is held for it covers that."""
    reply = embed(server, key, ["helloworld", "a"], model="bert")
    assert [len(item["embedding"]) for item in reply.json()["data"]] == [tiny_encoder.WIDTH] * 2
    assert reply.json()["usage"]["prompt_tokens"] == 12 + 3
    assert reply.headers["x-minitoolai-cost"] == "0.015"
    reply = embed(server, key, "a" * 127, model="bert")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert "129 tokens" in reply.json()["error"]["message"]
    assert embed(server, key, "a" * 126, model="bert").json()["usage"]["prompt_tokens"] == 128


@pytest.mark.parametrize(("model", "longest"), [("tiny", 511), ("bert", 120)])
def test_texts_side_by_side_are_as_alone(server: ProductServer, key: str, model: str, longest: int) -> None:
    """Of all lengths, in one call and in calls at once: no text's vector depends on the others."""
    dice = random.Random(1)
    texts = ["".join(dice.choices("abc xyz", k=dice.choice((1, 2, 9, 60, longest)))) for _ in range(24)]
    alone = [embed(server, key, text, model=model).json()["data"][0]["embedding"] for text in texts]
    together = [item["embedding"] for item in embed(server, key, texts, model=model).json()["data"]]
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda text: embed(server, key, text, model=model), texts))
    at_once = [reply.json()["data"][0]["embedding"] for reply in replies]
    for one, many, other in zip(alone, together, at_once, strict=True):
        assert many == pytest.approx(one, abs=2e-3)  # sums in another order
        assert other == pytest.approx(one, abs=2e-3)


def test_base64_is_the_same_vector(server: ProductServer, key: str) -> None:
    """32-bit numbers."""
    plain = embed(server, key, "hello world").json()["data"][0]["embedding"]
    coded = embed(server, key, "hello world", encoding_format="base64").json()["data"][0]["embedding"]
    assert struct.unpack(f"<{WIDTH}f", base64.b64decode(coded)) == pytest.approx(plain, abs=1e-5)


def test_tokens_of_its_vocabulary(server: ProductServer, key: str) -> None:
    """Each counts as one; what is none of its tokens is the caller's mistake."""
    reply = embed(server, key, [[1, 2, 3], [4]])
    assert reply.json()["usage"]["prompt_tokens"] == 4
    assert embed(server, key, [10**6]).status_code == 400


def test_a_text_that_is_too_long_is_told_with_its_numbers(server: ProductServer, key: str) -> None:
    """Counted by the child before the call; where the settings promise more than it reads, by its own refusal."""
    for given, model in (("x" * 600, "tiny"), ([5] * 600, "tiny"), ("x" * 600, "careless")):
        reply = embed(server, key, given, model=model)
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "input")
        assert "600 tokens" in error["message"]
        assert "512" in error["message"]
    assert embed(server, key, "x" * 512).status_code == 200
    assert embed(server, key, "hello world " * 170).json()["usage"]["prompt_tokens"] <= CONTEXT


def test_a_quote_is_the_childs_own_count(server: ProductServer, key: str) -> None:
    """What the call is then charged."""
    quote = embed(server, key, "hello world", path="/v1/quotes").json()
    assert quote["max_cost"] == "0.002"
    assert embed(server, key, "hello world").headers["x-minitoolai-cost"] == quote["max_cost"]


@pytest.mark.parametrize(("model", "dimensions"), [("tiny", 32), ("careless", 64)])
def test_other_dimensions_are_refused(server: ProductServer, key: str, model: str, dimensions: int) -> None:
    """llama.cpp gives vectors as they are; dimensions that nobody declared cannot be promised."""
    reply = embed(server, key, "hello", model=model, dimensions=dimensions)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "dimensions")


def test_it_does_not_chat(server: ProductServer, key: str) -> None:
    """400 that names the route."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {key}"}
    reply = requests.post(f"{server.base}/v1/chat/completions", json=body, headers=headers, timeout=60)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "model")
    assert "/v1/embeddings" in reply.json()["error"]["message"]


def test_nothing_stays_held(server: ProductServer, key: str) -> None:
    """After all of it the ledger is sound."""
    assert server.json("account", "show", "test")["held"] == "0"
    assert server.json("ledger", "verify")["ok"]


def test_a_chat_model_is_no_embedding_model() -> None:
    """A file that names no pooling would give one vector for each token: it is refused at the start."""
    with short_folder() as folder:
        child = LlamaChild(folder, tiny_gguf.make(folder / "m.gguf"), embeddings=True)
        try:
            failed = child.started()
        finally:
            child.end()
    assert (failed["event"], failed["code"]) == ("failed", "model_invalid")
    assert "no pooling" in failed["message"]
