"""The engines of a gateway process, made from their settings: who chats, embeds, speaks, writes down
speech, and what must be closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from minitoolai.engines.child_speech import ChildSpeech
from minitoolai.engines.llama import LlamaChat
from minitoolai.engines.llama_embeddings import LlamaEmbeddings
from minitoolai.engines.llama_server import LlamaServer
from minitoolai.engines.openai_chat import OpenAIChat
from minitoolai.engines.openai_embeddings import OpenAIEmbeddings
from minitoolai.engines.openai_speech import OpenAISpeech
from minitoolai.engines.openai_transcriptions import OpenAITranscriptions
from minitoolai.engines.openai_upstream import OpenAIUpstream, UpstreamSettings
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.catalogue import STARTER
from minitoolai.runtime.settings import LlamaEngineSettings, OpenAIEngineSettings, SpeechEngineSettings
from minitoolai.services.ports import ChatEngine, EmbeddingEngine
from minitoolai.services.speech_ports import SpeechEngine, TranscriptionEngine

#: Settings of an engine that are not the upstream's.
_NOT_THE_UPSTREAMS = frozenset({"api_key_env", "breaker_failures", "parallel_images", "parallel_speech"})


@dataclass
class Engines:
    """Engines by name. An upstream does everything over the same connections; a child of ours does one thing."""

    chat: dict[str, ChatEngine] = field(default_factory=dict)
    embedding: dict[str, EmbeddingEngine] = field(default_factory=dict)
    speech: dict[str, SpeechEngine] = field(default_factory=dict)
    transcription: dict[str, TranscriptionEngine] = field(default_factory=dict)
    #: How many failures in a row open an engine's breaker; 0: none do.
    failures: dict[str, int] = field(default_factory=dict)
    _upstreams: list[OpenAIUpstream] = field(default_factory=list)

    def add_llama(self, name: str, settings: LlamaEngineSettings, socket: str) -> None:
        """Add a child that chats or embeds, by its Unix socket. Its breaker never opens: it is restarted instead."""
        server = LlamaServer(name, socket, first_byte_s=settings.first_byte_s, total_s=settings.total_s)
        self._upstreams.append(server)
        self.failures[name] = 0
        if settings.embeddings:
            self.embedding[name] = LlamaEmbeddings(server)
        else:
            self.chat[name] = LlamaChat(server, deterministic=name == STARTER)

    def add_speech(self, name: str, settings: SpeechEngineSettings, socket: str) -> None:
        """Add a child that speaks, as `add_llama`."""
        self.failures[name] = 0
        self.speech[name] = speaking_child(name, settings, socket)

    def add_upstream(self, name: str, settings: OpenAIEngineSettings, environment: Mapping[str, str]) -> None:
        """Add an upstream; its key is in `environment`."""
        upstream = OpenAIUpstream(name, upstream_settings(settings, environment))
        self._upstreams.append(upstream)
        self.failures[name] = settings.breaker_failures
        self.chat[name], self.embedding[name] = OpenAIChat(upstream), OpenAIEmbeddings(upstream)
        self.speech[name] = OpenAISpeech(upstream, settings.parallel_speech)
        self.transcription[name] = OpenAITranscriptions(upstream)

    async def close(self) -> None:
        """Close all connections."""
        for upstream in self._upstreams:
            await upstream.close()


def build_engines(boot: GatewayBoot) -> Engines:
    """Return the engines that the boot document names."""
    engines = Engines()
    for name, settings in boot.engines.items():
        if isinstance(settings, LlamaEngineSettings):
            engines.add_llama(name, settings, boot.sockets[name])
        elif isinstance(settings, SpeechEngineSettings):
            engines.add_speech(name, settings, boot.sockets[name])
        elif isinstance(settings, OpenAIEngineSettings):
            engines.add_upstream(name, settings, boot.environment)
    return engines  # those that draw are the workers'


def speaking_child(name: str, settings: SpeechEngineSettings, socket: str) -> ChildSpeech:
    """Return a child that speaks, by its Unix socket."""
    return ChildSpeech(name, socket, parallel=settings.parallel_jobs, total_s=settings.total_s)


def upstream_settings(settings: OpenAIEngineSettings, environment: Mapping[str, str]) -> UpstreamSettings:
    """Return how an upstream is reached; its key is in `environment`."""
    chosen = {key: value for key, value in msgspec.structs.asdict(settings).items() if key not in _NOT_THE_UPSTREAMS}
    return UpstreamSettings(**chosen, api_key=environment.get(settings.api_key_env or ""))
