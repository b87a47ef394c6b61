"""A local model with a vision projector sees the pictures of a call, and is charged for them by its own count."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny_gguf, tiny_mmproj
from tests.support.databases import PostgresForTests
from tests.support.pictures import as_url, picture, png_bomb
from tests.support.servers import ProductServer, children_of, command_of, product_server

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: local vision is NOT TESTED")
requests = pytest.importorskip("requests")

SETTINGS = """
[engines.eye]
kind = "llama"
model_path = "{folder}/m.gguf"
mmproj_path = "{folder}/p.gguf"

[engines.blind]
kind = "llama"
model_path = "{folder}/m.gguf"

[models.seeing]
engine = "eye"
input_usd_per_1m = "1"
output_usd_per_1m = "1"

[models.blind]
engine = "blind"
input_usd_per_1m = "1"
output_usd_per_1m = "1"
"""


@pytest.fixture(scope="module")
def server(embedded_server: PostgresForTests, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductServer]:
    """The product with two local models, one with eyes."""
    folder: Path = tmp_path_factory.mktemp("vision")
    tiny_gguf.make(folder / "m.gguf")
    tiny_mmproj.make(folder / "p.gguf")
    with embedded_server.database() as url, product_server(folder, url) as product:
        product.configure(SETTINGS.format(folder=folder))
        product.start()
        for engine in ("eye", "blind"):
            product.wait_engine(engine)
        yield product


@pytest.fixture(scope="module")
def key(server: ProductServer) -> str:
    """A key with money."""
    return server.make_key()


def ask(server: ProductServer, key: str, *urls: str, model: str = "seeing", headers: Any = None, **fields: Any) -> Any:
    """Ask about pictures."""
    parts = [{"type": "text", "text": "hi"}, *({"type": "image_url", "image_url": {"url": url}} for url in urls)]
    body = {"model": model, "messages": [{"role": "user", "content": parts}], "max_tokens": 4, "stream": False, **fields}
    shown = {"authorization": f"Bearer {key}", **(headers or {})}
    return requests.post(f"{server.base}/api/chat-completions/", json=body, headers=shown, timeout=60)


def decoder_pid(server: ProductServer) -> int:
    """Return the process that decodes pictures."""
    assert server.process is not None
    (pid,) = [pid for pid in children_of(server.process.pid) if "minitoolai.children.pictures" in command_of(pid)]
    return pid


def prompt_tokens(reply: Any) -> int:
    """Return what a reply says of its prompt."""
    assert reply.status_code == 200, reply.text
    return int(reply.json()["usage"]["prompt_tokens"])


def test_pictures_are_seen_and_charged(server: ProductServer, key: str) -> None:
    """Each picture of any format is 16 tokens of the prompt, and costs that; no hold was too small."""
    without = prompt_tokens(ask(server, key))
    urls = [as_url(picture("PNG", (100, 50))), as_url(picture("WEBP", (9, 9)), "webp"), as_url(picture("GIF"), "gif")]
    for count in (1, 2, 3):
        reply = ask(server, key, *urls[:count])
        assert prompt_tokens(reply) == without + count * tiny_mmproj.TOKENS
        usage = reply.json()["usage"]
        assert round(usage["cost"] * 10**9) == 1000 * usage["total_tokens"]
    assert ask(server, key, urls[0], stream=True).text.rstrip().endswith("[DONE]")
    assert server.json("ledger", "verify")["ok"]


def test_the_hold_covers_the_picture(server: ProductServer, key: str) -> None:
    """The text is counted by the model, the picture as the most it may be: 21 and 1445 tokens, and 4 of the answer."""
    url = as_url(picture())
    assert ask(server, key, url, headers={"x-max-cost": "0.001469"}).status_code == 402
    assert ask(server, key, url, headers={"x-max-cost": "0.00147"}).status_code == 200


def test_pictures_differ(server: ProductServer, key: str) -> None:
    """What the model says depends on what it sees."""
    said = set()
    for color in ((255, 255, 255), (0, 0, 0), (255, 0, 0)):
        reply = ask(server, key, as_url(picture("PNG", color=color)), max_tokens=24, temperature=0)
        said.add(reply.json()["choices"][0]["message"]["content"])
    assert len(said) > 1


def test_what_is_refused(server: ProductServer, key: str) -> None:
    """Bombs, damage and addresses are 400 and free; the model without a projector cannot see."""
    before = server.json("account", "show", "test")
    for url, code in (
        (as_url(png_bomb(12_000, 12_000)), "image_too_large"),
        (as_url(picture("PNG", (200, 200))[:120]), "invalid_image_url"),
        ("https://127.0.0.1/x.png", "invalid_image_url"),
    ):
        reply = ask(server, key, url)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)
    reply = ask(server, key, as_url(picture()), model="blind")
    assert reply.status_code == 400
    assert "the model 'blind' cannot see images" in reply.json()["error"]["message"]
    assert server.json("account", "show", "test") == before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_the_decoder_is_started_again(server: ProductServer, key: str) -> None:
    """Killed, it costs 503 for a while, and nothing else notices."""
    url, killed = as_url(picture()), decoder_pid(server)
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 30
    seen = set()
    while (reply := ask(server, key, url)).status_code != 200:
        seen.add((reply.status_code, reply.json()["error"]["code"]))
        assert reply.headers["retry-after"]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert seen <= {(503, "service_unavailable")}
    assert decoder_pid(server) != killed
    assert ask(server, key).status_code == 200
