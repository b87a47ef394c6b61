"""How each kind of child is started (gateways, llama.cpp, callers' pictures and sounds; those that draw: `worker_children`;
those that speak: `speech_children`), and what is known of the engines meanwhile."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.catalogue import STARTER, STARTER_ALIAS
from minitoolai.runtime.processes import ChildSpec, IsAlive
from minitoolai.runtime.settings import LlamaEngineSettings

#: Beyond its drain a gateway settles its last calls (`gateway.SETTLE_TIMEOUT_S`) and cuts what hangs.
_GATEWAY_MARGIN_S = 15.0
#: Between two looks whether a child said that it is ready.
LOOK_S = 0.01

log = logging.getLogger("minitoolai.children")


class EngineStates:
    """What is known of the engines that are children, in a file that the gateways read for `/readyz`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._states: dict[str, dict[str, Any]] = {}
        #: Preparations of children run in threads, side by side.
        self._lock = threading.Lock()

    def note(self, name: str, state: str, **facts: object) -> None:
        """Say what engine `name` is doing."""
        with self._lock:
            self._states[name] = {"state": state, **facts}
            temporary = self.file.with_suffix(".new")
            temporary.write_text(json.dumps(self._states))
            temporary.replace(self.file)


def gateway_spec(number: int, boot: GatewayBoot, drain_timeout_s: float) -> ChildSpec:
    """Return how gateway `number` is started."""
    listening = Said("ready", json_log=boot.json_log)
    return ChildSpec(
        name=f"gateway-{number}",
        command=[sys.executable, "-m", "minitoolai.runtime.gateway"],
        env=child_environment(),
        pass_fds=[boot.listen_fd],
        boot=msgspec.json.encode(boot) + b"\n",
        stop_timeout_s=drain_timeout_s + _GATEWAY_MARGIN_S,
        together="gateways",
        before_start=listening.reset,
        on_line=listening.heard,
        ready=listening.wait,
    )


def llama_spec(name: str, engine: LlamaEngineSettings, socket: Path, states: EngineStates) -> ChildSpec:
    """Return how llama.cpp is started for one model. The server runs on while it loads or fails."""
    document = {
        "model_path": engine.model_path,
        "mmproj_path": engine.mmproj_path,
        "socket": str(socket),
        "alias": STARTER_ALIAS if name == STARTER else name,
        "context_tokens": engine.context_tokens,
        "parallel": engine.parallel,
        "threads": engine.threads,
        "embeddings": engine.embeddings,
    }

    def note(state: str, **facts: object) -> None:
        states.note(name, state, **facts)

    return model_spec(f"llama-{name}", "minitoolai.children.llama", name, document, note, ("context_tokens", "parallel"))


def model_spec(
    child: str,
    module: str,
    engine: str,
    document: Mapping[str, object],
    note: Callable[..., None],
    facts: Sequence[str],
) -> ChildSpec:
    """Return how a child that holds the model of `engine` is started. All else runs on while it loads or fails.

    `note` is told its state, once it is ready with these `facts` of the child's own.
    """
    loaded = asyncio.Event()

    def reset() -> None:
        loaded.clear()
        Path(str(document["socket"])).unlink(missing_ok=True)
        note("starting")

    def heard(stream: str, line: str) -> None:
        if stream == "stderr":
            log.info("%s: %s", engine, line)
            return
        event = json.loads(line)
        if event["event"] == "ready":
            loaded.set()
            note("ready", **{fact: event[fact] for fact in facts})
            known = ", ".join(f"{fact} {event[fact]}" for fact in facts)
            log.info("engine %s is ready after %.1f s (%s)", engine, event["load_s"], known)
        elif event["event"] == "progress":
            note("loading", progress=event["fraction"])
            log.info("engine %s loads: %d %%", engine, round(event["fraction"] * 100))
        else:
            note("failed", message=event["message"])
            log.error("engine %s failed: %s", engine, event["message"])

    async def ready(is_alive: IsAlive) -> None:
        while is_alive() and not loaded.is_set():
            await asyncio.sleep(LOOK_S)

    return ChildSpec(
        name=child,
        command=[sys.executable, "-m", module],
        env=child_environment(),
        boot=json.dumps(document).encode() + b"\n",
        essential=False,
        before_start=reset,
        on_line=heard,
        ready=ready,
    )


def pictures_spec(socket: Path) -> ChildSpec:
    """Return how the child that decodes callers' pictures is started."""
    return _examiner_spec("pictures", "minitoolai.children.pictures", socket, "pictures cannot be decoded")


def sounds_spec(socket: Path) -> ChildSpec:
    """Return how the child that measures callers' sounds is started."""
    return _examiner_spec("sounds", "minitoolai.children.sounds", socket, "sounds cannot be measured")


def _examiner_spec(name: str, module: str, socket: Path, trouble: str) -> ChildSpec:
    """Return how a child that looks at callers' files is started. The server runs on while it does not."""
    listening = asyncio.Event()

    def heard(stream: str, line: str) -> None:
        if stream == "stderr":
            log.info("%s: %s", name, line)
        elif (event := json.loads(line))["event"] == "ready":
            listening.set()
        else:
            log.error("%s: %s", trouble, event["message"])

    async def ready(is_alive: IsAlive) -> None:
        while is_alive() and not listening.is_set():
            await asyncio.sleep(LOOK_S)

    return ChildSpec(
        name=name,
        command=[sys.executable, "-m", module],
        env=child_environment(),
        boot=json.dumps({"socket": str(socket)}).encode() + b"\n",
        essential=False,
        before_start=listening.clear,
        on_line=heard,
        ready=ready,
    )


class Said:
    """Waits for a child's word on standard output; its other lines go to the log.

    They are formatted by the child's own logging; with `json_log` those that are not, as the interpreter's last words,
    are logged anew, so that every line is JSON.
    """

    def __init__(self, word: str, *, json_log: bool) -> None:
        self._word = word
        self._json_log = json_log
        self._said = asyncio.Event()

    def reset(self) -> None:
        self._said.clear()

    def heard(self, stream: str, line: str) -> None:
        if stream == "stdout" and line == self._word:
            self._said.set()
        elif self._json_log and not line.startswith("{"):
            log.error("%s", line)
        else:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - formatted by the child's own logging

    async def wait(self, is_alive: IsAlive) -> None:
        while is_alive() and not self._said.is_set():
            await asyncio.sleep(LOOK_S)


def child_environment() -> dict[str, str]:
    """Return what a child needs of our environment: no secret travels this way."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE")
    return {name: os.environ[name] for name in kept if name in os.environ}
