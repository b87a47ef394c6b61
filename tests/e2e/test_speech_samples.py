"""The samples of docs/howto/speak.md as they are printed, but for host and key; on a server with nothing set."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from minitoolai.core.speech import AudioFormat
from tests.house.documents import DOCS, examples
from tests.support.databases import open_folder
from tests.support.servers import ProductServer, product_server
from tests.support.speaking_child import heard

HOST = "http://127.0.0.1:8000"
#: USD for a character.
ESPEAK, TTS = Decimal("0.000001"), Decimal("0.000015")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ProductServer]:
    """A server started with nothing configured, once it can speak."""
    with open_folder() as folder, product_server(folder, None) as server:
        server.start()
        server.wait_engine("espeak")
        yield server


@pytest.fixture(scope="module")
def key(sandbox: ProductServer) -> str:
    """The key of the first start."""
    return (sandbox.data_dir / "first-key").read_text().strip()


def sample(sandbox: ProductServer, key: str, language: str, word: str) -> str:
    """Return the page's one sample of a language that has `word`, its host and key replaced and nothing else."""
    page = DOCS / "howto" / "speak.md"
    (text,) = [each.text for each in examples(language) if each.page == page and word in each.text]
    assert text.count(HOST) == 1
    return text.replace(HOST, sandbox.base).replace("sk-…", key)


def run(sandbox: ProductServer, key: str, command: list[str], folder: Path, text: str, cost: Decimal) -> bytes:
    """Run a sample in a folder; return the file that it saves. Its call is charged `cost`, as the usage says."""
    before = balance(sandbox)
    file = folder / "sample"
    file.write_text(text, encoding="utf-8")
    environment = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "MINITOOLAI_API_KEY": key}
    subprocess.run([*command, file], capture_output=True, check=True, timeout=60, env=environment, cwd=folder)
    assert before - balance(sandbox) == cost
    newest = used(sandbox, key, "limit=1")
    asked = used(sandbox, key, f"request_id={newest['request_id']}")
    assert asked == newest
    assert (asked["outcome"], Decimal(str(asked["cost"]))) == ("completed", cost)
    assert asked["characters"] * Decimal(str(asked["usd_per_1m_characters"])) / 10**6 == cost
    (saved,) = folder.glob("speech.*")
    return saved.read_bytes()


def used(sandbox: ProductServer, key: str, query: str) -> dict[str, Any]:
    """Return the one call that the usage tells."""
    headers = {"authorization": f"Bearer {key}"}
    (call,) = requests.get(f"{sandbox.base}/v1/usage?{query}", headers=headers, timeout=30).json()["data"]
    return dict(call)


def balance(sandbox: ProductServer) -> Decimal:
    """Return what the sandbox's account has left; nothing is held meanwhile."""
    shown = sandbox.json("account", "show", "sandbox")
    assert shown["held"] == "0"
    return Decimal(shown["balance"])


def php() -> str:
    """Return the program, with its cURL."""
    found = shutil.which("php")
    if found is None or b"curl" not in subprocess.run([found, "-m"], capture_output=True, check=True).stdout:
        pytest.skip("PHP IS MISSING, ITS SAMPLE WAS NOT RUN: apt-get install php-cli php-curl")
    return found


@pytest.mark.parametrize(
    ("language", "word", "said", "price", "sound_format"),
    [
        ("sh", "Dzień dobry", "Dzień dobry. Miło mi.", ESPEAK, "mp3"),
        ("sh", "en-gb", "Hello there.", ESPEAK, "wav"),
        ("python", "import requests", "Hello there. How are you?", ESPEAK, "mp3"),
        ("python", "with_streaming_response", "Hello there.", TTS, "mp3"),
        ("php", "curl_init", "Hello there.", ESPEAK, "mp3"),
    ],
    ids=["curl", "curl with a voice", "requests", "OpenAI's SDK", "PHP"],
)
def test_a_sample_runs_as_printed(
    sandbox: ProductServer,
    key: str,
    tmp_path: Path,
    language: str,
    word: str,
    said: str,
    price: Decimal,
    sound_format: AudioFormat,
) -> None:
    """It saves a file of speech as long as its text, and costs its characters."""
    command = {"sh": "bash", "python": sys.executable, "php": php() if language == "php" else ""}[language]
    text = sample(sandbox, key, language, word)
    assert said in text
    saved = run(sandbox, key, [command], tmp_path, text, price * len(said))
    listened = heard(saved, sound_format)
    assert 0.04 < listened.seconds / len(said) < 0.16
    assert listened.loud_s > listened.seconds / 2


def test_the_sample_of_a_book_asks_for_its_job(sandbox: ProductServer, key: str, tmp_path: Path) -> None:
    """The job and its signature replaced, it waits for the end; the sound behind the link is the whole text."""
    book = "Hello there. How are you? " * 200
    headers = {"authorization": f"Bearer {key}"}
    body = {"model": "espeak-ng", "text": book}
    made = requests.post(f"{sandbox.base}/api/texttospeech/", json=body, headers=headers, timeout=30).json()
    text = sample(sandbox, key, "sh", "texttospeech/jobs/")
    for old, new in (("1234567890123", str(made["jobid"])), ("0123456789abcdefghijkl", made["signature"])):
        assert text.count(old) == 1
        text = text.replace(old, new)
    file = tmp_path / "ask.sh"
    file.write_text(text)
    done = subprocess.run(["bash", file], capture_output=True, text=True, check=True, timeout=90)
    told = json.loads(done.stdout)
    assert (told["status"], told["characters"], Decimal(told["cost"])) == ("success", len(book), ESPEAK * len(book))
    sound = requests.get(told["audio_url"], timeout=60).content
    assert 0.04 < heard(sound, "mp3").seconds / len(book) < 0.16
    assert sandbox.json("ledger", "verify")["ok"]
