"""What the llama child decides before the engine is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minitoolai.children import llama
from minitoolai.children.gguf_header import Header
from minitoolai.children.report import BootError, Report

GOOD: dict[str, Any] = {"model_path": "/m.gguf", "socket": "/tmp/x.sock", "alias": "m"}
FACTS = {
    "general.architecture": "llama",
    "llama.context_length": 131072,
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": [8] * 32,
}


def test_boot_document_with_defaults() -> None:
    """Null and absent are the same."""
    document = {**GOOD, "context_tokens": None, "threads": None, "mmproj_path": None, "chat_template": None}
    assert llama.Boot.parse(json.dumps(document).encode()) == llama.Boot.parse(json.dumps(GOOD).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"model_path": None}, {"alias": ""}, {"parallel": 0}, {"parallel": 65}, {"parallel": True}, {"threads": "2"},
        {"context_tokens": -1}, {"socket": "/tmp/x"}, {"socket": "/" + "x" * 110 + ".sock"}, {"typo": 1},
        {"chat_template": 5}, {"embeddings": 1},
    ],
)  # fmt: skip
def test_bad_boot_documents_are_refused(change: dict[str, object]) -> None:
    """Each with the field's name in the message."""
    with pytest.raises(BootError, match=next(iter(change))) as caught:
        llama.Boot.parse(json.dumps({**GOOD, **change}).encode())
    assert caught.value.code == "boot_invalid"


@pytest.mark.parametrize("line", [b"", b"nope\n", b"[1]\n", b"{}\n"])
def test_what_is_no_boot_document_is_refused(line: bytes) -> None:
    """Nothing, no JSON, no object, nothing in it."""
    with pytest.raises(BootError):
        llama.Boot.parse(line)


def test_context_is_bounded_by_the_model_and_by_the_default() -> None:
    """A model trained for 128k does not take gigabytes unless told to."""
    header = Header(FACTS, 0)
    boot = llama.Boot(**GOOD)
    assert llama.context_of(boot, header) == llama.DEFAULT_CONTEXT_TOKENS
    assert llama.context_of(llama.Boot(**GOOD, context_tokens=200_000), header) == 131072


def test_caches_that_do_not_fit_are_refused() -> None:
    """128 KiB per token for this shape: 4 slots of 8192 tokens are 4 GiB."""
    header = Header(FACTS, 0)
    assert header.kv_bytes_per_token == 128 * 1024
    llama.check_memory(header, 8192, 4, 5 << 30)
    llama.check_memory(header, 8192, 4, None)
    with pytest.raises(BootError, match="4096 MiB") as caught:
        llama.check_memory(header, 8192, 4, 3 << 30)
    assert caught.value.code == "out_of_memory"


def test_tiny_models_get_one_thread() -> None:
    """Two threads made a 0.4 MB model eight times slower."""
    assert llama.default_threads(1 << 20) == 1
    assert llama.default_threads(1 << 30) >= 1


def test_progress_is_told_in_steps(tmp_path: Path) -> None:
    """From 0 to 1, rising, few lines; a file that does not fit into memory is not read at all."""
    path, told = tmp_path / "file", tmp_path / "told"
    path.write_bytes(bytes(3 * llama.PAGE_IN_BYTES + 5))
    with told.open("wb") as file:
        llama.page_in(path, Report(file.fileno()), None)
    fractions = [json.loads(line)["fraction"] for line in told.read_text().splitlines()]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1], len(fractions)) == (0.0, 1.0, 5)
    with told.open("wb") as file:
        llama.page_in(path, Report(file.fileno()), 1000)
    assert told.read_bytes() == b""


@pytest.mark.parametrize("pooling", [None, 0, 4])
def test_an_embedding_model_says_how_it_pools(pooling: object) -> None:
    """A chat model's file does not, a reranker's says another thing."""
    facts = FACTS if pooling is None else {**FACTS, "llama.pooling_type": pooling}
    with pytest.raises(BootError, match="pooling") as caught:
        llama.check_pooling(Header(facts, 0))
    assert caught.value.code == "model_invalid"
    for known in (1, 2, 3):
        llama.check_pooling(Header({**FACTS, "llama.pooling_type": known}, 0))
