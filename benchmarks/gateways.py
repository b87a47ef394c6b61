"""The gateways that are compared: how each is started, asked, and found among the processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from benchmarks.build import BUILD, HERE, Upstream, free_ports
from benchmarks.coldstart import chat_status
from benchmarks.processes import GATEWAY_CORE, OTHER_CORE, Child, command_of, pin, program, tree

#: The version that the figures in README.md are of.
LITELLM = "litellm[proxy]==1.106.0"
#: Far more than all calls of a run cost.
CREDIT_USD = "1000000"
START_TIMEOUT_S = 120.0


@dataclass
class Gateway:
    """A running gateway."""

    name: str
    version: str
    fast_url: str
    slow_url: str
    key: str = ""
    #: The processes that relay, and those that keep its books.
    pids: list[int] = field(default_factory=list)
    database_pids: list[int] = field(default_factory=list)


class Unavailable(Exception):
    """A peer cannot be started here; its text says why."""


Start = Callable[[Upstream], contextlib.AbstractContextManager[Gateway]]


@contextlib.contextmanager
def ours(
    upstream: Upstream, folder: Path, source: Path | None = None, python: Path = Path(sys.executable)
) -> Iterator[Gateway]:
    """The product as it comes, with the embedded database; only the gateway process has the measured core.

    `folder`: for its data. `source`: another checkout whose code is run, by this one's environment.
    `python`: the interpreter that runs it.
    """
    site = Site(folder, upstream, source, python)
    with Child(site.serve(), OTHER_CORE, site.folder / "server.log", environment=site.environment) as child:
        _wait(child, site.url, site.key, "fake")
        gateways = [pid for pid in tree(child.pid) if "minitoolai.runtime.gateway" in command_of(pid)]
        for pid in gateways:
            pin(pid, GATEWAY_CORE)
        others = [pid for pid in tree(child.pid) if pid not in gateways]
        name = "ours" if source is None else "against"
        version = describe(source or HERE.parent)
        yield Gateway(name, version, site.url, site.url, site.key, gateways, others)


class Site:
    """A data folder, a settings file and a key of an account that never runs dry."""

    def __init__(
        self, folder: Path, upstream: Upstream, source: Path | None = None, python: Path = Path(sys.executable)
    ) -> None:
        self.folder = folder
        self._python = python
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self.environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        if source is not None:
            self.environment["PYTHONPATH"] = str(source / "src")
        self._port = port
        folder.mkdir(parents=True, exist_ok=True)
        _fill("minitoolai.toml", folder / "minitoolai.toml", upstream)
        self.key = self._key()

    def serve(self) -> list[str]:
        """Return the command that serves."""
        return [*self._command("serve"), "--port", str(self._port)]

    def _command(self, *words: str) -> list[str]:
        places = ["--config", str(self.folder / "minitoolai.toml"), "--data-dir", str(self.folder / "data")]
        return [str(self._python), "-m", "minitoolai.cli.main", *words, *places]

    def _key(self) -> str:
        """Return a key with credit behind it: the one of an earlier run, while its database is there."""
        kept = self.folder / "key"
        if kept.exists():
            return kept.read_text()
        self._json("account", "create", "bench", "--credit", CREDIT_USD)
        key = str(self._json("key", "create", "--account", "bench")["key"])
        kept.touch(mode=0o600)
        kept.write_text(key)
        return key

    def _json(self, *words: str) -> Mapping[str, object]:
        command = [*self._command(*words), "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, check=True)
        answer: Mapping[str, object] = json.loads(done.stdout)
        return answer


@contextlib.contextmanager
def nginx(upstream: Upstream) -> Iterator[Gateway]:
    """nginx as a reverse proxy: what copying bytes costs."""
    binary = program("nginx")
    if binary is None:
        raise Unavailable("nginx is not installed (apt-get install nginx-light)")
    folder = BUILD / "nginx"
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    config = folder / "nginx.conf"
    _fill("nginx.conf", config, upstream, port=port)
    base = f"http://127.0.0.1:{port}"
    path = "/v1/chat/completions"
    said = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr
    command = [binary, "-p", str(folder), "-c", str(config), "-e", str(folder / "nginx-error.log")]
    with Child(command, GATEWAY_CORE, folder / "server.log") as child:
        _wait(child, base + path, "", "fake")
        version = said.strip().rpartition("/")[2]
        yield Gateway("nginx", version, base + path, f"{base}/slow{path}", pids=tree(child.pid))


@contextlib.contextmanager
def litellm(upstream: Upstream) -> Iterator[Gateway]:
    """LiteLLM's proxy with one worker, its key check on and no database."""
    command, environment, url, key = litellm_command(upstream)
    with Child(command, GATEWAY_CORE, BUILD / "litellm.log", environment=environment) as child:
        _wait(child, url, key, "fake")
        yield Gateway("litellm", LITELLM.rpartition("=")[2], url, url, key, tree(child.pid))


def litellm_command(upstream: Upstream) -> tuple[list[str], dict[str, str], str, str]:
    """Return command, environment, URL and key of a LiteLLM proxy, installed first where it is not."""
    venv = BUILD / "litellm"
    binary = venv / "bin" / "litellm"
    if not binary.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        try:
            subprocess.run([str(venv / "bin" / "pip"), "install", "-q", LITELLM], check=True, timeout=900)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            shutil.rmtree(venv)
            raise Unavailable(f"{LITELLM} cannot be installed: {error}") from error
    (port,) = free_ports(1)
    config = BUILD / "litellm.yaml"
    _fill("litellm.yaml", config, upstream)
    key = "sk-benchmark-0123456789abcdef0123456789abcdef"
    environment = {**os.environ, "LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [str(binary), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    return command, environment, f"http://127.0.0.1:{port}/v1/chat/completions", key


PEERS: Mapping[str, Start] = {"nginx": nginx, "litellm": litellm}


def describe(folder: Path) -> str:
    """Return the commit of a checkout, marked where the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return str(folder)
    return said.stdout.strip()


def _fill(name: str, target: Path, upstream: Upstream, **more: object) -> None:
    template = Template((HERE / "peers" / name).read_text())
    target.write_text(template.safe_substitute(fast=upstream.fast, slow=upstream.slow, **more))


def _wait(child: Child, url: str, key: str, model: str) -> None:
    """Wait for the first answer 200. Raises `Unavailable` with the end of the log."""
    give_up = time.monotonic() + START_TIMEOUT_S
    while chat_status(url, key, model) != 200:
        if not child.alive or time.monotonic() > give_up:
            raise Unavailable(f"it did not answer:\n{child.last_words()}")
        time.sleep(0.05)
