"""The engines of a worker, made from their settings: who draws and who speaks, how each is asked whether it is there, what
must be closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from minitoolai.engines.onnx_pictures import OnnxPictures
from minitoolai.engines.openai_images import OpenAIImages
from minitoolai.engines.openai_speech import OpenAISpeech
from minitoolai.engines.openai_upstream import OpenAIUpstream
from minitoolai.runtime.boot import WorkerBoot
from minitoolai.runtime.engines import speaking_child, upstream_settings
from minitoolai.runtime.settings import OnnxEngineSettings, OpenAIEngineSettings, SpeechEngineSettings
from minitoolai.services.picture_ports import PictureEngine
from minitoolai.services.speech_ports import SpeechEngine


@dataclass
class JobEngines:
    """Engines by name."""

    drawing: dict[str, PictureEngine] = field(default_factory=dict)
    speaking: dict[str, SpeechEngine] = field(default_factory=dict)
    #: How many failures in a row open an engine's breaker; 0: none do.
    failures: dict[str, int] = field(default_factory=dict)
    #: Asks an engine whether it is there; of those that are not in it nobody asks.
    ready: dict[str, Callable[[], Awaitable[bool]]] = field(default_factory=dict)
    _upstreams: list[OpenAIUpstream] = field(default_factory=list)

    def add_drawing_child(self, name: str, settings: OnnxEngineSettings, socket: str) -> None:
        """Add a child that draws, by its Unix socket. Its breaker never opens: it is restarted instead."""
        engine = OnnxPictures(name, socket, parallel=settings.parallel, total_s=settings.total_s)
        self.drawing[name], self.failures[name], self.ready[name] = engine, 0, engine.is_there

    def add_speaking_child(self, name: str, settings: SpeechEngineSettings, socket: str) -> None:
        """Add a child that speaks, as `add_drawing_child`."""
        engine = speaking_child(name, settings, socket)
        self.speaking[name], self.failures[name], self.ready[name] = engine, 0, engine.is_there

    def add_upstream(self, name: str, settings: OpenAIEngineSettings, environment: Mapping[str, str]) -> None:
        """Add an upstream: it may draw and speak, as the models say."""
        upstream = OpenAIUpstream(name, upstream_settings(settings, environment))
        self._upstreams.append(upstream)
        self.drawing[name] = OpenAIImages(upstream, settings.parallel_images)
        self.speaking[name] = OpenAISpeech(upstream, settings.parallel_speech)
        self.failures[name] = settings.breaker_failures

    async def close(self) -> None:
        """Close all connections."""
        for upstream in self._upstreams:
            await upstream.close()


def build_job_engines(boot: WorkerBoot) -> JobEngines:
    """Return the engines that the boot document names."""
    engines = JobEngines()
    for name, settings in boot.engines.items():
        if isinstance(settings, OnnxEngineSettings):
            engines.add_drawing_child(name, settings, boot.sockets[name])
        elif isinstance(settings, SpeechEngineSettings):
            engines.add_speaking_child(name, settings, boot.sockets[name])
        elif isinstance(settings, OpenAIEngineSettings):
            engines.add_upstream(name, settings, boot.environment)
    return engines
