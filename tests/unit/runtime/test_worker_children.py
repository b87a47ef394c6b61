"""Workers and their children: which engines they have, how they are started, what is known of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from minitoolai.core.catalog import ChatModel, PictureModel, Route, SpeechModel
from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.core.pricing import TokenPrices
from minitoolai.runtime.boot import WorkerBoot
from minitoolai.runtime.children import EngineStates
from minitoolai.runtime.processes import ChildSpec
from minitoolai.runtime.settings import (
    EngineSettings,
    EspeakEngineSettings,
    LlamaEngineSettings,
    OnnxEngineSettings,
    OpenAIEngineSettings,
    ServerSettings,
    Settings,
    StorageSettings,
)
from minitoolai.runtime.variables import gateway_variables
from minitoolai.runtime.worker_children import Workers, drawing_engines, job_engines, speaking_engines, worker_boot

ONNX = OnnxEngineSettings(model_path="/models/sd", threads=3, parallel=2, providers=("CUDAExecutionProvider",))
UPSTREAM = OpenAIEngineSettings(base_url="http://127.0.0.1:9/v1", api_key_env="DRAW_KEY")
ENGINES: dict[str, EngineSettings] = {
    "sd": ONNX, "up": UPSTREAM, "chat": LlamaEngineSettings(model_path="/models/chat"), "voice": EspeakEngineSettings(),
}  # fmt: skip
CHAT = ChatModel("c", TokenPrices(1, 1), 9, 9, engine="chat")
MODELS = [PictureModel("m", 1, engine="sd", others=(Route("up"),)), CHAT, SpeechModel("s", 1, engine="voice")]
#: Sockets of children that all share.
SHARED = {"voice": "/run/voice.sock", "chat": "/run/chat.sock"}


class FakeSupervisor:
    """Starts nothing."""

    def __init__(self) -> None:
        self.specs: list[ChildSpec] = []

    async def start(self, spec: ChildSpec) -> None:
        """Keep what is to be started."""
        self.specs.append(spec)

    def spec(self, name: str) -> ChildSpec:
        """Return one by its name."""
        (spec,) = [spec for spec in self.specs if spec.name == name]
        return spec


async def started(folder: Path, engines: dict[str, EngineSettings], workers: int) -> tuple[FakeSupervisor, Workers]:
    """Return what so many workers are started with."""
    supervisor: Any = FakeSupervisor()
    at_work = Workers(engines, workers, EngineStates(folder / "engines.json"), folder)
    boot = worker_boot(
        Settings(server=ServerSettings(drain_timeout_s=7)), engines, {"DRAW_KEY": "k"},
        database_url="postgresql:///x", secret=bytes(32), data_dir=folder, json_log=True,
    )  # fmt: skip
    await at_work.start_children(supervisor)
    await at_work.start_workers(supervisor, boot, SHARED)
    return supervisor, at_work


def test_engines_of_jobs_are_those_of_models_that_draw_or_speak() -> None:
    """Those that stand in too; an engine that only chats is none."""
    assert list(drawing_engines(MODELS, ENGINES)) == ["sd", "up"]
    assert list(speaking_engines(MODELS, ENGINES)) == ["voice"]
    assert list(job_engines(MODELS, ENGINES)) == ["sd", "up", "voice"]
    assert drawing_engines(MODELS[1:], ENGINES) == {}
    assert job_engines([CHAT], ENGINES) == {}


async def test_each_worker_has_children_of_its_own(tmp_path: Path) -> None:
    """Behind sockets of their own, with the engine's settings; an upstream has none, and those that speak are shared."""
    engines = job_engines(MODELS, ENGINES)
    supervisor, _ = await started(tmp_path, engines, 2)
    assert [spec.name for spec in supervisor.specs] == ["onnx-sd-0", "onnx-sd-1", "worker-0", "worker-1"]
    sockets = []
    for number in (0, 1):
        child = json.loads(supervisor.spec(f"onnx-sd-{number}").boot or b"")
        boot = msgspec.json.decode(supervisor.spec(f"worker-{number}").boot or b"", type=WorkerBoot)
        assert boot.sockets == {"sd": child.pop("socket"), "voice": "/run/voice.sock"}
        assert child == {
            "model_path": "/models/sd", "threads": 3, "parallel": 2, "providers": ["CUDAExecutionProvider"],
        }  # fmt: skip
        assert (boot.engines, boot.environment) == (engines, {"DRAW_KEY": "k"})
        sockets.append(boot.sockets["sd"])
    assert len(set(sockets)) == 2


async def test_nothing_waits_for_them(tmp_path: Path) -> None:
    """The server runs on while they fail; a worker is given its drain, and stops apart from the gateways."""
    supervisor, _ = await started(tmp_path, {"sd": ONNX}, 1)
    assert not any(spec.essential for spec in supervisor.specs)
    worker = supervisor.spec("worker-0")
    assert worker.stop_timeout_s > 7
    assert worker.together == "workers"


@pytest.mark.parametrize(("engines", "workers"), [({"sd": ONNX}, 0), ({}, 1)])
async def test_none_is_started_for_nothing(tmp_path: Path, engines: dict[str, EngineSettings], workers: int) -> None:
    """Other machines draw, or nothing does."""
    supervisor, _ = await started(tmp_path, engines, workers)
    assert supervisor.specs == []


async def test_the_best_of_an_engines_children_is_shown(tmp_path: Path) -> None:
    """One that draws is enough; the others' failures are in the log."""
    supervisor, _ = await started(tmp_path, {"sd": ONNX}, 2)
    first, second = supervisor.spec("onnx-sd-0"), supervisor.spec("onnx-sd-1")

    def shown() -> Any:
        return json.loads((tmp_path / "engines.json").read_text())["sd"]

    def tell(spec: ChildSpec, **event: object) -> None:
        assert spec.on_line is not None
        spec.on_line("stdout", json.dumps(event))

    for spec in (first, second):
        assert spec.before_start is not None
        spec.before_start()
    assert shown() == {"state": "starting"}
    tell(first, event="failed", code="engine_missing", message="Install it.")
    assert shown() == {"state": "starting"}
    tell(second, event="failed", code="engine_missing", message="Install it.")
    assert shown() == {"state": "failed", "message": "Install it."}
    tell(second, event="ready", provider="CPUExecutionProvider", parallel=2, load_s=0.5)
    assert shown() == {"state": "ready", "provider": "CPUExecutionProvider", "parallel": 2}
    assert second.on_line is not None
    second.on_line("stderr", "a line of its log")
    assert first.ready is not None
    assert second.ready is not None
    await second.ready(lambda: True)
    await first.ready(lambda: False)


async def test_a_workers_state_is_noted(tmp_path: Path) -> None:
    """It starts, and is ready once it says so; one that died meanwhile is not."""
    supervisor, at_work = await started(tmp_path, {"sd": ONNX}, 1)
    spec = supervisor.spec("worker-0")

    def shown() -> Any:
        return json.loads(at_work.states.file.read_text())

    assert spec.before_start is not None
    assert spec.on_line is not None
    assert spec.ready is not None
    spec.before_start()
    assert shown() == {"worker-0": {"state": "starting"}}
    await spec.ready(lambda: False)
    assert shown() == {"worker-0": {"state": "starting"}}
    spec.on_line("stdout", "ready")
    await spec.ready(lambda: True)
    assert shown() == {"worker-0": {"state": "ready"}}


def test_a_worker_is_given_the_variables_that_it_needs(tmp_path: Path) -> None:
    """Its engines' keys, and those of an object store where there is one; no other secret of the environment."""
    environment = {"DRAW_KEY": "k", "AWS_REGION": "r", "PAGE_TOKEN": "t", "OTHER": "o"}
    settings = Settings(server=ServerSettings(metrics_token_env="PAGE_TOKEN"))

    def given(settings: Settings) -> dict[str, str]:
        return worker_boot(
            settings, {"up": UPSTREAM}, environment, database_url="", secret=b"", data_dir=tmp_path, json_log=False
        ).environment

    assert given(settings) == {"DRAW_KEY": "k"}
    stored = msgspec.structs.replace(settings, storage=StorageSettings(url="s3://bucket"))
    assert given(stored) == {"DRAW_KEY": "k", "AWS_REGION": "r"}
    assert gateway_variables(stored, {}, environment) == {"AWS_REGION": "r", "PAGE_TOKEN": "t"}


@pytest.mark.parametrize(
    ("settings", "engines", "named"),
    [
        (Settings(), {"up": UPSTREAM}, "engines.up.api_key_env"),
        (Settings(server=ServerSettings(metrics_token_env="PAGE_TOKEN")), {}, "server.metrics_token_env"),
    ],
)
def test_a_variable_that_is_named_must_be_set(settings: Settings, engines: dict[str, EngineSettings], named: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigInvalid, match=named):
        gateway_variables(settings, engines, {})
