"""Children that speak: how each kind is started, and what is known of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minitoolai.children.espeak.boot import Boot as EspeakBoot
from minitoolai.children.piper.boot import Boot as PiperBoot
from minitoolai.children.speech.boot import SpeechBoot, VoicesBoot
from minitoolai.runtime.children import EngineStates
from minitoolai.runtime.processes import ChildSpec
from minitoolai.runtime.settings import (
    EngineSettings,
    EspeakEngineSettings,
    KokoroEngineSettings,
    LlamaEngineSettings,
    OpenAIEngineSettings,
    PiperEngineSettings,
)
from minitoolai.runtime.speech_children import start_speech

ENGINES: dict[str, EngineSettings] = {
    "chat": LlamaEngineSettings(model_path="/m"),
    "espeak": EspeakEngineSettings(language="pl", parallel=3),
    "up": OpenAIEngineSettings(base_url="http://127.0.0.1:9/v1"),
    "voices": PiperEngineSettings(model_path="/voices", loaded=2, threads=3),
    "k": KokoroEngineSettings(model_path="/kokoro", threads=1),
}


class FakeSupervisor:
    """Starts nothing."""

    def __init__(self) -> None:
        self.specs: list[ChildSpec] = []

    async def start(self, spec: ChildSpec) -> None:
        """Keep what is to be started."""
        self.specs.append(spec)


async def started(folder: Path) -> tuple[list[ChildSpec], dict[str, str]]:
    """Return what the children are started with, and the sockets by engine."""
    supervisor: Any = FakeSupervisor()
    sockets = await start_speech(supervisor, ENGINES, EngineStates(folder / "engines.json"), folder)
    return supervisor.specs, sockets


async def test_each_is_told_its_settings(tmp_path: Path) -> None:
    """Behind a socket of its own; who chats, and who is an upstream, is none of them."""
    specs, sockets = await started(tmp_path)
    told = {spec.name: json.loads(spec.boot or b"") for spec in specs}
    assert [document.pop("socket") for document in told.values()] == [sockets[name] for name in ("espeak", "voices", "k")]
    assert list(sockets) == ["espeak", "voices", "k"]
    assert len(set(sockets.values())) == 3
    assert told == {
        "speech-espeak": {"language": "pl", "parallel": 3},
        "speech-voices": {"language": "en", "model_path": "/voices", "threads": 3, "loaded": 2},
        "speech-k": {"language": "en", "model_path": "/kokoro", "threads": 1},
    }
    assert [spec.command[-1] for spec in specs] == [f"minitoolai.children.{kind}" for kind in ("espeak", "piper", "kokoro")]


async def test_children_take_what_they_are_told(tmp_path: Path) -> None:
    """Their own boot documents have exactly these fields."""
    specs, sockets = await started(tmp_path)
    kinds: tuple[type[SpeechBoot], ...] = (EspeakBoot, PiperBoot, VoicesBoot)
    boots = [kind.parse(spec.boot or b"") for kind, spec in zip(kinds, specs, strict=True)]
    assert [boot.socket for boot in boots] == list(sockets.values())
    assert [boot.language for boot in boots] == ["pl", "en", "en"]


async def test_nothing_waits_for_them_and_their_state_is_noted(tmp_path: Path) -> None:
    """The server runs on while they fail."""
    specs, _ = await started(tmp_path)
    assert not any(spec.essential for spec in specs)

    def shown() -> Any:
        return json.loads((tmp_path / "engines.json").read_text())

    for spec in specs:
        assert spec.before_start is not None
        spec.before_start()
    first, second, _ = specs
    assert first.on_line is not None
    assert second.on_line is not None
    first.on_line("stdout", json.dumps({"event": "ready", "voices": 130, "parallel": 1, "load_s": 0.2}))
    second.on_line("stdout", json.dumps({"event": "failed", "code": "engine_missing", "message": "Install it."}))
    assert shown() == {
        "espeak": {"state": "ready", "voices": 130, "parallel": 1},
        "voices": {"state": "failed", "message": "Install it."},
        "k": {"state": "starting"},
    }
