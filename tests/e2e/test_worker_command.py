"""`minitoolai worker`: it draws and speaks for a server, and says in one line why it cannot."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import tiny_diffusion
from tests.support.databases import open_folder
from tests.support.drawing_product import SETTINGS, Product
from tests.support.servers import ProductServer, product_server
from tests.support.speaking_child import heard


@contextlib.contextmanager
def worker_beside(server: ProductServer) -> Iterator[subprocess.Popen[bytes]]:
    """`minitoolai worker` with a server's settings and data folder; ended at the end."""
    command = [sys.executable, "-m", "minitoolai.cli.main", "worker", "--config", str(server.config)]
    with (
        (server.folder / "worker.log").open("wb") as log,
        subprocess.Popen(
            [*command, "--data-dir", str(server.data_dir)],
            env=server.environment, cwd=server.folder, stdout=subprocess.PIPE, stderr=log,
        ) as worker,
    ):  # fmt: skip
        try:
            yield worker
        finally:
            worker.terminate()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return tiny_diffusion.make(tmp_path_factory.mktemp("tiny"))


async def test_a_worker_draws_beside_a_server(model: Path) -> None:
    """`minitoolai worker` over the running server's database and files; it stops with exit status 0."""
    with open_folder() as folder, product_server(folder, None) as server:
        product = Product(server, model)
        product.start(workers=0)
        job = await product.ask(await product.caller())
        ready = (await job.caller.send("/readyz", method="GET")).json
        assert (ready["engines"]["tiny"], ready["workers"]) == ({"state": "configured"}, {})
        with worker_beside(server) as worker:
            assert worker.stdout is not None
            assert b"MiniToolAI works with tiny" in worker.stdout.readline()
            await product.drawn(job, attempt=1)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0


def test_a_worker_speaks_beside_a_server(database_url: str, tmp_path: Path) -> None:
    """Long texts too are done by workers elsewhere, with children of their own; the command waits for them."""
    with open_folder() as folder, product_server(folder, database_url) as server:
        server.configure("[jobs]\nworkers = 0\n")
        server.start()
        key, text, file = server.make_key(), "The house is red. " * 300, tmp_path / "house.opus"
        with worker_beside(server) as worker:
            assert worker.stdout is not None
            assert b"espeak" in worker.stdout.readline()
            told = server.json("speak", text, "--out", str(file), "--url", server.base, "--key", key)
            assert told["cost"] == "0.0054"
            assert heard(file.read_bytes(), "opus").loud_s > 100
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('espeak = "off"\n[engines.up]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n', "or speech model of these"),
        ("", "minitoolai serve"),
        ('[database]\nurl = "postgresql://127.0.0.1:9/none"\n', "the database cannot be used"),
    ],
    ids=["nothing to do", "no server", "no database"],
)
async def test_a_worker_that_cannot_work_says_why(tmp_path: Path, config: str, words: str) -> None:
    """One line that names the remedy, and exit status 1; nothing is made."""
    server = ProductServer(tmp_path, None)
    server.configure(config)
    done = server.command("worker", check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert words in done.stderr
    assert not (server.data_dir / "secret").exists()


async def test_a_worker_needs_the_servers_secret(model: Path, database_url: str, tmp_path: Path) -> None:
    """Without it, or with another, it is refused before it takes a job."""
    with open_folder() as folder, product_server(folder, database_url) as server:
        product = Product(server, model)
        server.configure(SETTINGS.format(drain_s=1, workers=0, model=product.model))
        server.start()
        elsewhere = ProductServer(tmp_path, None)
        elsewhere.configure(server.config.read_text())
        done = elsewhere.command("worker", "--database", database_url, check=False)
        assert (done.returncode, "the server's secret is not here" in done.stderr) == (1, True), done.stderr
        elsewhere.configure(server.config.read_text().replace("[jobs]", 'secret_env = "OTHER"\n[jobs]'))
        elsewhere.environment["OTHER"] = "x" * 64
        done = elsewhere.command("worker", "--database", database_url, check=False)
        assert (done.returncode, "is not the one that this database was set up with" in done.stderr) == (1, True)
