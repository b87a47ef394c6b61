"""The child that draws as a process: how its life begins and ends, and pictures over its socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from minitoolai.core.child_wire import HEAD, LENGTH, order_bytes
from minitoolai.core.drawing_wire import Kind, Order, fraction_of
from tests.support import tiny_diffusion
from tests.support.child_process import assert_ends_with_its_parent
from tests.support.llama_child import short_folder
from tests.support.onnx_child import MODULE, PATIENCE_S, OnnxChild, asked, drawing_child, onnx_child


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with short_folder() as path:
        yield path


@pytest.fixture(scope="module")
def child() -> Iterator[OnnxChild]:
    """One child for all tests that only ask."""
    with short_folder() as path, drawing_child(path, tiny_diffusion.make(path / "model")) as started:
        yield started


def test_its_first_word(folder: Path) -> None:
    """`ready` says what was loaded, and with what."""
    model = tiny_diffusion.make(folder / "model", prediction_type="v_prediction")
    with onnx_child(folder, model, parallel=2, providers=["NoSuchProvider", "CPUExecutionProvider"]) as started:
        ready = started.started()
        facts = (ready["event"], ready["parallel"], ready["threads"], ready["provider"], ready["prediction_type"])
        assert facts == ("ready", 2, 1, "CPUExecutionProvider", "v_prediction")
        assert ready["grid"] == tiny_diffusion.GRID
        assert started.ask(asked())[-1][0] is Kind.PICTURE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are Linux's: the network is NOT CUT HERE")
def test_it_has_no_network(child: OnnxChild) -> None:
    """Where the kernel allows it, not even a loopback interface is up: nothing in it starts threads before."""
    probe = "from minitoolai.children.isolation import cut_network; print(cut_network())"
    allowed = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
    namespaces = {os.readlink(f"/proc/{pid}/ns/net") for pid in ("self", child.process.pid)}
    assert (len(namespaces) == 2) is (allowed == "True")


@pytest.mark.parametrize(
    ("changes", "native_size"),
    [
        ({}, None),
        ({"width": 257, "height": 1343}, None),
        ({"width": 1343, "height": 257, "scheduler": "Euler a"}, 256),
        ({"width": 1024, "height": 1024, "scheduler": "DPM++ 2M SDE Karras", "steps": 8}, 256),
        ({"scheduler": "DPM fast", "steps": 1, "cfg_scale": 1.0, "prompt": "żółw 🐢 " * 300}, None),
    ],
)
def test_pictures_come_out(child: OnnxChild, changes: dict[str, Any], native_size: int | None) -> None:
    """Progress rises from 0 to 1, then comes the picture; asked again it is the same one."""
    request = asked(**changes)
    *told, (kind, picture) = child.ask(request, native_size)
    assert kind is Kind.PICTURE
    fractions = [fraction_of(content) for _, content in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    image = Image.open(BytesIO(picture))
    assert (image.format, image.size) == ("PNG", (request.width, request.height))
    assert child.ask(request, native_size)[-1] == (kind, picture)


def test_a_caller_that_leaves_is_forgotten(child: OnnxChild) -> None:
    """In the middle of a picture, and before its turn; the next one is drawn."""
    large = order_bytes(Order(asked(width=1344, height=1344, steps=8)))
    leaving, waiting = child.open(large), child.open(large)
    assert leaving.recv(HEAD.size)
    leaving.close()
    waiting.close()
    assert child.ask(asked())[-1][0] is Kind.PICTURE


def test_what_is_no_order_harms_nothing(child: OnnxChild) -> None:
    """It is refused, and the next picture is drawn."""
    assert child.ask_bytes(LENGTH.pack(4) + b"nope") == [(Kind.REFUSED, b"order_invalid")]
    assert child.ask(asked())[-1][0] is Kind.PICTURE


def test_sigterm_ends_it_with_0_and_removes_the_socket(folder: Path) -> None:
    """Also in the middle of a picture."""
    with drawing_child(folder, tiny_diffusion.make(folder / "model", width=64)) as started:
        with started.open(order_bytes(Order(asked(width=1344, height=1344, steps=8)))) as drawing:
            assert drawing.recv(HEAD.size)
            started.process.send_signal(signal.SIGTERM)
            assert started.process.wait(PATIENCE_S) == 0
        assert not started.socket.exists()


def test_a_stale_socket_is_replaced(folder: Path) -> None:
    """What kill -9 leaves behind does not keep the next life from starting."""
    model = tiny_diffusion.make(folder / "model")
    with drawing_child(folder, model) as first:
        pass
    assert first.socket.exists()
    with drawing_child(folder, model) as second:
        assert second.ask(asked())[-1][0] is Kind.PICTURE


def test_it_does_not_outlive_a_killed_parent(folder: Path) -> None:
    """kill -9 of the parent: nobody is left to stop it but itself."""
    boot = {"model_path": str(tiny_diffusion.make(folder / "model")), "socket": str(folder / "d.sock")}
    assert_ends_with_its_parent(MODULE, boot, PATIENCE_S)


@pytest.mark.parametrize(
    ("broken", "code", "words"),
    [
        (".", "model_missing", "does not exist"),
        ("unet/model.onnx", "model_invalid", "unet/model.onnx is missing"),
        ("tokenizer/merges.txt", "model_invalid", "tokenizer/merges.txt is missing"),
    ],
)
def test_what_cannot_start_says_why(folder: Path, broken: str, code: str, words: str) -> None:
    """One `failed` event with a code and a remedy, the same on standard error, exit status 1, no socket."""
    model = tiny_diffusion.make(folder / "model")
    if broken == ".":
        shutil.rmtree(model)
    else:
        (model / broken).unlink()
    with onnx_child(folder, model) as started:
        failed = started.started()
        assert (failed["event"], failed["code"]) == ("failed", code)
        assert words in failed["message"]
        assert started.process.wait(PATIENCE_S) == 1
        assert failed["message"] in started.errors.read_text()
        assert not started.socket.exists()


def test_a_bad_boot_document_is_told(folder: Path) -> None:
    """As any other failure to start."""
    with onnx_child(folder, folder, threads=0) as started:
        failed = started.started()
        assert (failed["event"], failed["code"]) == ("failed", "boot_invalid")
        assert "threads" in failed["message"]
