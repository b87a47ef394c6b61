"""The children of one program that speak: how they are started. Its gateways and workers share them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minitoolai.runtime.children import EngineStates, model_spec
from minitoolai.runtime.processes import ChildSpec
from minitoolai.runtime.settings import EngineSettings, EspeakEngineSettings, PiperEngineSettings, SpeechEngineSettings
from minitoolai.runtime.supervisor import Supervisor

#: What a child that speaks says of itself.
_FACTS = ("voices", "parallel")


async def start_speech(
    supervisor: Supervisor, engines: Mapping[str, EngineSettings], states: EngineStates, folder: Path
) -> dict[str, str]:
    """Start those of `engines` that are children and speak; they load while others come up. Return their sockets, which are
    made in `folder`, by engine."""
    speaking = {name: engine for name, engine in engines.items() if isinstance(engine, SpeechEngineSettings)}
    sockets = {name: folder / f"speech-{number}.sock" for number, name in enumerate(speaking)}
    for name, engine in speaking.items():
        await supervisor.start(speech_spec(name, engine, sockets[name], states))
    return {name: str(socket) for name, socket in sockets.items()}


def speech_spec(name: str, engine: SpeechEngineSettings, socket: Path, states: EngineStates) -> ChildSpec:
    """Return how a child that speaks is started. All else runs on while it loads or fails."""
    kind = engine.__struct_config__.tag

    def note(state: str, **facts: object) -> None:
        states.note(name, state, **facts)

    document = {"socket": str(socket), **_document(engine)}
    return model_spec(f"speech-{name}", f"minitoolai.children.{kind}", name, document, note, _FACTS)


def _document(engine: SpeechEngineSettings) -> dict[str, Any]:
    """Return what is told to a child of each kind."""
    if isinstance(engine, EspeakEngineSettings):
        return {"language": engine.language, "parallel": engine.parallel}
    files = {"language": engine.language, "model_path": engine.model_path, "threads": engine.threads}
    return {**files, "loaded": engine.loaded} if isinstance(engine, PiperEngineSettings) else files
