"""How the llama child's life begins and ends: stale sockets, SIGTERM, a killed parent, files that are no models."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import tiny_gguf
from tests.support.child_process import assert_ends_with_its_parent
from tests.support.llama_child import END_S, ENDLESS, HI, MODULE, LlamaChild, running, short_folder

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: the llama child is NOT TESTED")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with short_folder() as path:
        yield path


@pytest.fixture
def model(folder: Path) -> Path:
    """A slow model, so that an answer is still running when it is cut."""
    return tiny_gguf.make(folder / "model.gguf", layers=32)


def test_sigterm_ends_it_with_0_and_removes_the_socket(folder: Path, model: Path) -> None:
    """Also in the middle of an answer."""
    with running(folder, model) as child:
        answering = child.send({**ENDLESS, "stream": True})
        answering.recv(65536)
        child.process.send_signal(signal.SIGTERM)
        assert child.process.wait(END_S) == 0
        assert not child.socket.exists()
        answering.close()


def test_a_stale_socket_is_replaced(folder: Path, model: Path) -> None:
    """What kill -9 leaves behind does not keep the next life from starting."""
    with running(folder, model) as first:
        pass
    assert first.socket.exists()
    with running(folder, model) as second:
        assert second.whole(HI)["choices"]


def test_it_does_not_outlive_a_killed_parent(folder: Path, model: Path) -> None:
    """kill -9 of the parent: nobody is left to stop it but itself."""
    boot = {"model_path": str(model), "socket": str(folder / "m.sock"), "alias": "tiny"}
    assert_ends_with_its_parent(MODULE, boot, END_S)


@pytest.mark.parametrize(
    ("case", "code"), [("missing", "model_missing"), ("cut", "model_invalid"), ("text", "model_invalid"),
                       ("architecture", "model_invalid"), ("template", "model_invalid")],
)  # fmt: skip
def test_what_cannot_start_says_why(folder: Path, model: Path, case: str, code: str) -> None:
    """One `failed` event with a code and a remedy, exit status 1."""
    whole = model.read_bytes()
    model.unlink()
    if case == "cut":
        model.write_bytes(whole[:-5000])
    elif case == "text":
        model.write_text("not a model")
    elif case == "architecture":
        model.write_bytes(whole.replace(b"llama", b"zzzzz"))
    elif case == "template":
        model.write_bytes(whole)
    child = LlamaChild(folder, model, **({"chat_template": "{% bad"} if case == "template" else {}))
    failed = child.started()
    assert (failed["event"], failed["code"]) == ("failed", code)
    assert len(failed["message"]) > 40
    if case == "architecture":
        assert "zzzzz" in failed["message"], "llama.cpp's own reason"
    assert child.process.wait(END_S) == 1
    child.end()
