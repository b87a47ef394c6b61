"""Programs that people have, for pictures: the seed document's own samples, OpenAI's SDK, our command; on a server with
nothing set, drawn by the starter."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
import requests

from minitoolai.core.builtin_models import SEED_PICTURE_MODELS
from minitoolai.core.samplers import SCHEDULERS
from tests.support.databases import open_folder
from tests.support.pictures import opened
from tests.support.servers import ProductServer, product_server

SAMPLES = Path(__file__).parents[1] / "support" / "samples"
PRICE = Decimal("0.0015")
#: A picture takes the starter a second or two on one core; many at once wait for each other.
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ProductServer]:
    """A server started with nothing configured: embedded database, starter models, the first key in its file."""
    with open_folder() as folder, product_server(folder, None) as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def key(sandbox: ProductServer) -> str:
    """The key of the first start."""
    return (sandbox.data_dir / "first-key").read_text().strip()


def balance(sandbox: ProductServer) -> Decimal:
    """Return what the sandbox's account has left; nothing is held meanwhile."""
    shown = sandbox.json("account", "show", "sandbox")
    assert shown["held"] == "0"
    return Decimal(shown["balance"])


def sample(sandbox: ProductServer, key: str, name: str) -> str:
    """Return a sample of the seed document, its host and key replaced and nothing else."""
    text = (SAMPLES / f"{name}.txt").read_text()
    assert text.count("https://minitoolai.com") == 1
    assert text.count('"MiniToolAI_API_Key"') == (0 if "curl" in name else 1)
    return text.replace("https://minitoolai.com", sandbox.base).replace('"MiniToolAI_API_Key"', f'"{key}"')


def make(sandbox: ProductServer, key: str, **fields: Any) -> dict[str, Any]:
    """Make a job; return the reply."""
    body = {"model": "realvision", "prompt": "a red circle on a white ground", **fields}
    reply = requests.post(
        f"{sandbox.base}/api/texttoimage/", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=30
    )
    found: dict[str, Any] = reply.json()
    assert found["status"] == "success", (fields, found)
    return found


def drawn(sandbox: ProductServer, made: dict[str, Any]) -> tuple[int, int]:
    """Wait for a job's picture; return its size."""
    until = time.monotonic() + PATIENCE_S
    question = {"jobid": made["jobid"], "signature": made["signature"], "wait": 30}
    while True:
        told = requests.post(f"{sandbox.base}/api/texttoimage/jobs/", json=question, timeout=60).json()
        if told["status"] != "processing":
            break
        assert time.monotonic() < until, told
    assert (told["status"], told.get("cost")) == ("success", "0.0015"), told
    return size_of(told["image_url"])


def size_of(url: str) -> tuple[int, int]:
    """Return the size of the picture at a link."""
    reply = requests.get(url, timeout=30)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    return opened(reply.content).size


def asked_by_curl(sandbox: ProductServer, made: dict[str, Any], folder: Path) -> tuple[int, int]:
    """Ask about a job with the seed's own curl line, its jobid and signature replaced, until it is done."""
    text = sample(sandbox, "", "texttoimage-jobs.curl")
    for old, new in (("12345678", str(made["jobid"])), ("abcxyz123", made["signature"])):
        assert text.count(old) == 1
        text = text.replace(old, new)
    file = folder / "ask.sh"
    file.write_text(text)
    until = time.monotonic() + PATIENCE_S
    while True:
        done = subprocess.run(["bash", file], capture_output=True, text=True, check=True, timeout=30)
        told = json.loads(done.stdout)
        if told["status"] != "processing":
            break
        assert time.monotonic() < until
        time.sleep(0.2)
    assert (told["status"], told["message"]) == ("success", "success")
    return size_of(told["image_url"])


def test_the_seeds_python_sample_runs_unchanged(sandbox: ProductServer, key: str, tmp_path: Path) -> None:
    """It prints the job; the seed's curl line asks for it; the picture has the sample's size and price."""
    file = tmp_path / "sample.py"
    file.write_text(sample(sandbox, key, "texttoimage.python"))
    before = balance(sandbox)
    done = subprocess.run(
        [sys.executable, file], capture_output=True, encoding="utf-8", check=True, timeout=60, env={"LANG": "C.UTF-8"}
    )
    assert asked_by_curl(sandbox, json.loads(done.stdout), tmp_path) == (1152, 768)
    assert balance(sandbox) == before - PRICE
    assert sandbox.json("ledger", "verify")["ok"]


def test_the_seeds_php_sample_runs_unchanged(sandbox: ProductServer, key: str, tmp_path: Path) -> None:
    """With PHP's own cURL."""
    php = shutil.which("php")
    if php is None or b"curl" not in subprocess.run([php, "-m"], capture_output=True, check=True).stdout:
        pytest.skip("PHP IS MISSING, ITS SAMPLE WAS NOT RUN: apt-get install php-cli php-curl")
    file = tmp_path / "sample.php"
    file.write_text(sample(sandbox, key, "texttoimage.php"))
    done = subprocess.run([php, file], capture_output=True, encoding="utf-8", check=True, timeout=60)
    assert asked_by_curl(sandbox, json.loads(done.stdout), tmp_path) == (1152, 768)


def test_a_wrong_key_is_told_as_the_seed_says(sandbox: ProductServer, tmp_path: Path) -> None:
    """The sample prints the seed's error, and why."""
    file = tmp_path / "sample.py"
    file.write_text(sample(sandbox, "sk-wrong", "texttoimage.python"))
    done = subprocess.run([sys.executable, file], capture_output=True, encoding="utf-8", check=True, timeout=60)
    told = json.loads(done.stdout)
    assert (told["status"], told["jobid"], told["signature"]) == ("error", None, None)
    assert "not a key of this server" in told["message"]


def test_every_model_scheduler_and_number_of_steps_draws(sandbox: ProductServer, key: str) -> None:
    """The seed's 15 models, 18 schedulers, 1 to 8 steps; each picture is charged once."""
    before = balance(sandbox)
    small = {"width": 256, "height": 256}
    made = [make(sandbox, key, model=model.id, steps=1, **small) for model in SEED_PICTURE_MODELS]
    made += [
        make(sandbox, key, scheduler=name, steps=1 + index % 8, cfgScale=1 + index % 7, **small)
        for index, name in enumerate(SCHEDULERS)
    ]
    assert {drawn(sandbox, each) for each in made} == {(256, 256)}
    assert balance(sandbox) == before - PRICE * (len(SEED_PICTURE_MODELS) + len(SCHEDULERS))
    assert sandbox.json("ledger", "verify")["ok"]


@pytest.mark.parametrize("size", [(257, 1343), (1344, 256), (1344, 1344), (256, 257)], ids=str)
def test_odd_sizes_are_exact(sandbox: ProductServer, key: str, size: tuple[int, int]) -> None:
    """To the pixel, at the bounds and beside the multiples of 8."""
    made = make(sandbox, key, width=size[0], height=size[1], steps=1, scheduler="Euler")
    assert drawn(sandbox, made) == size


def test_the_same_seed_is_the_same_picture(sandbox: ProductServer, key: str) -> None:
    """And another one another; through OpenAI's SDK, in base64 and by link."""
    with openai.OpenAI(base_url=f"{sandbox.base}/v1", api_key=key, max_retries=0) as client:

        def picture(seed: int, **more: Any) -> Any:
            drawn = client.images.generate(
                model="realvision", prompt="a red circle", size="256x256", extra_body={"seed": seed}, **more
            )
            assert drawn.data is not None
            assert len(drawn.data) == 1
            return drawn.data[0]

        first, again, other = (picture(seed, response_format="b64_json").b64_json for seed in (7, 7, 8))
        assert first == again != other
        assert size_of(picture(7).url) == (256, 256)


def test_the_command_saves_a_picture(sandbox: ProductServer, key: str, tmp_path: Path) -> None:
    """`minitoolai image` with the first key; it says what it cost, and what is wrong."""
    file = tmp_path / "circle.png"
    options = ("--url", sandbox.base, "--steps", "1", "--width", "300", "--height", "260")
    told = sandbox.json("image", "a", "red", "circle", "--out", str(file), "--seed", "7", *options)
    assert (told["file"], told["seed"], told["cost"]) == (str(file), 7, "0.0015")
    assert opened(file.read_bytes()).size == (300, 260)
    assert "0.0015 USD" in sandbox.command("image", "a circle", "--out", str(file), *options).stdout
    for arguments, words in (
        (("--steps", "9"), "1 to 8"), (("--model", "x"), "does not exist"), (("--out", "/no/folder/x.png"), "no folder"),
        (("--key", "sk-x"), "not a key of this server"), (("--url", "http://127.0.0.1:9"), "minitoolai serve"),
    ):  # fmt: skip
        done = sandbox.command("image", "a circle", "--url", sandbox.base, *arguments, check=False)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
