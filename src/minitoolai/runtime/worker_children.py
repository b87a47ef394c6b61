"""The workers of one program (`serve`, `worker`) and their children that draw: how they are started, what is known of them.

Each worker has children of its own that draw: one that hangs or dies takes no other's pictures with it. Children that speak
are the program's (`speech_children`): they take turns between sentences.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from minitoolai.core.catalog import Model, PictureModel, SpeechModel
from minitoolai.runtime.boot import WorkerBoot
from minitoolai.runtime.children import EngineStates, Said, child_environment, model_spec
from minitoolai.runtime.processes import ChildSpec, IsAlive
from minitoolai.runtime.settings import EngineSettings, OnnxEngineSettings, Settings
from minitoolai.runtime.supervisor import Supervisor
from minitoolai.runtime.variables import worker_variables
from minitoolai.storage.seal import derive_key

#: Beyond its drain a worker puts back what it did not finish (`services.worker.PUT_BACK_S`) and lets go of its connections.
_WORKER_MARGIN_S = 15.0
#: What is shown of an engine that several workers have: the best that any of them has.
_BEST_FIRST = ("ready", "loading", "starting", "failed")


def drawing_engines(models: Iterable[Model], engines: Mapping[str, EngineSettings]) -> dict[str, EngineSettings]:
    """Return the engines that some picture model names, in the order of the settings."""
    return _named_by(PictureModel, models, engines)


def speaking_engines(models: Iterable[Model], engines: Mapping[str, EngineSettings]) -> dict[str, EngineSettings]:
    """Return the engines that some speech model names, in the order of the settings."""
    return _named_by(SpeechModel, models, engines)


def job_engines(models: Iterable[Model], engines: Mapping[str, EngineSettings]) -> dict[str, EngineSettings]:
    """Return the engines that do jobs: those that draw or speak."""
    return _named_by((PictureModel, SpeechModel), models, engines)


def _named_by(
    kinds: type[Model] | tuple[type[Model], ...], models: Iterable[Model], engines: Mapping[str, EngineSettings]
) -> dict[str, EngineSettings]:
    named = {route.engine for model in models if isinstance(model, kinds) for route in model.routes}
    return {name: engine for name, engine in engines.items() if name in named}


def worker_boot(
    settings: Settings,
    engines: Mapping[str, EngineSettings],
    environment: Mapping[str, str],
    *,
    database_url: str,
    secret: bytes,
    data_dir: Path,
    json_log: bool,
) -> WorkerBoot:
    """Return what a worker is told, all but its sockets. Raises `ConfigInvalid` when a variable that is named is not set."""
    return WorkerBoot(
        settings=settings,
        engines=dict(engines),
        sockets={},
        environment=worker_variables(settings, engines, environment),
        database_url=database_url,
        jobs_key=derive_key(secret, "jobs").hex(),
        files_key=derive_key(secret, "files").hex(),
        webhooks_key=derive_key(secret, "webhooks").hex(),
        data_dir=str(data_dir.absolute()),
        json_log=json_log,
    )


class Workers:
    """The workers of one program and their own children."""

    def __init__(self, engines: Mapping[str, EngineSettings], workers: int, states: EngineStates, folder: Path) -> None:
        """`engines`: those that do jobs; `folder`: where sockets are made."""
        self._children = {name: each for name, each in engines.items() if isinstance(each, OnnxEngineSettings)}
        self._engines = _SharedStates(states)
        self._folder = folder
        #: Without an engine that does jobs there is nothing to do for a worker.
        self._numbers = range(workers if engines else 0)
        #: What is known of the workers.
        self.states = EngineStates(folder / "workers.json")

    async def start_children(self, supervisor: Supervisor) -> None:
        """Start the children that draw; they load while others come up."""
        for number in self._numbers:
            for name, engine in self._children.items():
                await supervisor.start(onnx_spec(name, number, engine, self._socket(number, name), self._engines))

    async def start_workers(self, supervisor: Supervisor, boot: WorkerBoot, shared: Mapping[str, str]) -> None:
        """Start the workers. Nobody waits for them: jobs wait until they are there.

        `shared`: sockets of children that are not theirs alone, by engine.
        """
        known = {name: socket for name, socket in shared.items() if name in boot.engines}
        for number in self._numbers:
            own = {name: str(self._socket(number, name)) for name in self._children}
            told = msgspec.structs.replace(boot, sockets={**known, **own})
            await supervisor.start(worker_spec(number, told, self.states))

    def _socket(self, number: int, engine: str) -> Path:
        return self._folder / f"{number}-{list(self._children).index(engine)}.sock"


class _SharedStates:
    """Notes of each engine the best that any worker's child of it is doing."""

    def __init__(self, states: EngineStates) -> None:
        self._states = states
        self._known: dict[str, dict[int, tuple[str, dict[str, Any]]]] = {}
        #: Preparations of children run in threads, side by side.
        self._lock = threading.Lock()

    def note(self, engine: str, number: int, state: str, **facts: object) -> None:
        """Say what worker `number`'s child for `engine` is doing."""
        with self._lock:
            known = self._known.setdefault(engine, {})
            known[number] = state, facts
            best, shown = min(known.values(), key=lambda each: _BEST_FIRST.index(each[0]))
            self._states.note(engine, best, **shown)


def onnx_spec(name: str, number: int, engine: OnnxEngineSettings, socket: Path, states: _SharedStates) -> ChildSpec:
    """Return how the child that draws with one model is started for worker `number`. All else runs on while it loads or
    fails: jobs wait."""
    document = {
        "model_path": engine.model_path,
        "socket": str(socket),
        "threads": engine.threads,
        "providers": engine.providers,
        "parallel": engine.parallel,
    }

    def note(state: str, **facts: object) -> None:
        states.note(name, number, state, **facts)

    return model_spec(
        f"onnx-{name}-{number}", "minitoolai.children.onnx_pictures", name, document, note, ("provider", "parallel")
    )


def worker_spec(number: int, boot: WorkerBoot, states: EngineStates) -> ChildSpec:
    """Return how worker `number` is started. The server runs on while it does not: jobs wait."""
    name = f"worker-{number}"
    said = Said("ready", json_log=boot.json_log)

    def reset() -> None:
        said.reset()
        states.note(name, "starting")

    async def ready(is_alive: IsAlive) -> None:
        await said.wait(is_alive)
        if is_alive():
            states.note(name, "ready")

    return ChildSpec(
        name=name,
        command=[sys.executable, "-m", "minitoolai.runtime.worker"],
        env=child_environment(),
        boot=msgspec.json.encode(boot) + b"\n",
        stop_timeout_s=boot.settings.server.drain_timeout_s + _WORKER_MARGIN_S,
        together="workers",
        essential=False,
        before_start=reset,
        on_line=said.heard,
        ready=ready,
    )
