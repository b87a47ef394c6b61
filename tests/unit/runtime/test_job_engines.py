"""The engines of a worker: what each kind of settings becomes, and who can be asked whether it is there."""

from __future__ import annotations

from pathlib import Path

from minitoolai.engines.child_speech import ChildSpeech
from minitoolai.engines.onnx_pictures import OnnxPictures
from minitoolai.engines.openai_images import OpenAIImages
from minitoolai.engines.openai_speech import OpenAISpeech
from minitoolai.runtime.boot import WorkerBoot
from minitoolai.runtime.job_engines import build_job_engines
from minitoolai.runtime.model_settings import ModelSettings
from minitoolai.runtime.settings import (
    EngineSettings,
    EspeakEngineSettings,
    JobsSettings,
    LlamaEngineSettings,
    OnnxEngineSettings,
    OpenAIEngineSettings,
    PiperEngineSettings,
    Settings,
)
from minitoolai.runtime.worker_wiring import build_worker
from minitoolai.storage.drafts import DEFAULT_FOLDER

ENGINES: dict[str, EngineSettings] = {
    "draws": OnnxEngineSettings(model_path="/models/sd", parallel=3),
    "speaks": EspeakEngineSettings(parallel_jobs=5),
    "voices": PiperEngineSettings(model_path="/models/voices"),
    "up": OpenAIEngineSettings(base_url="http://127.0.0.1:9/v1", parallel_images=6, parallel_speech=7, breaker_failures=4),
    "chats": LlamaEngineSettings(model_path="/models/chat"),
}
SOCKETS = {name: f"/nonexistent/{name}.sock" for name in ("draws", "speaks", "voices", "chats")}
MODELS = {
    "a": ModelSettings(kind="image", engine="draws", usd_per_image="1"),
    "b": ModelSettings(kind="image", engine="up", usd_per_image="1"),
    "c": ModelSettings(kind="speech", engine="speaks", usd_per_1m_characters="1"),
}


def boot_of(folder: Path) -> WorkerBoot:
    """Return what a worker is told."""
    settings = Settings(engines=ENGINES, models=MODELS, jobs=JobsSettings())
    key = bytes(32).hex()
    return WorkerBoot(
        settings=settings, engines=ENGINES, sockets=SOCKETS, environment={}, database_url="postgresql://nobody@127.0.0.1:9/x",
        jobs_key=key, files_key=key, webhooks_key=key, data_dir=str(folder),
    )  # fmt: skip


async def test_what_each_kind_of_settings_becomes(tmp_path: Path) -> None:
    """An upstream may draw and speak, a child does one of both, and what only chats does no jobs."""
    engines = build_job_engines(boot_of(tmp_path))
    try:
        drawing = {name: (type(engine), engine.parallel) for name, engine in engines.drawing.items()}
        assert drawing == {"draws": (OnnxPictures, 3), "up": (OpenAIImages, 6)}
        speaking = {name: (type(engine), engine.parallel) for name, engine in engines.speaking.items()}
        assert speaking == {"speaks": (ChildSpeech, 5), "voices": (ChildSpeech, 2), "up": (OpenAISpeech, 7)}
        assert engines.failures == {"draws": 0, "speaks": 0, "voices": 0, "up": 4}
        assert engines.ready.keys() == {"draws", "speaks", "voices"}
        assert [await ask() for ask in engines.ready.values()] == [False] * 3
    finally:
        await engines.close()


async def test_a_worker_takes_what_models_name(tmp_path: Path) -> None:
    """One lane for each engine and kind that a model has, and no draft is left once it has ended."""
    process = build_worker(boot_of(tmp_path))
    try:
        lanes = {(lane.engine, str(lane.kind), lane.parallel) for lane in process.worker.lanes}
        assert lanes == {("draws", "picture", 3), ("up", "picture", 6), ("speaks", "speech", 5)}
        assert len([found for found in (tmp_path / DEFAULT_FOLDER).iterdir() if found.is_dir()]) == 1
    finally:
        await process.close()
    assert [found.name for found in (tmp_path / DEFAULT_FOLDER).iterdir()] == [".lock"]
