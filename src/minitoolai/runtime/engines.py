"""The engines of a gateway process, made from their settings: who chats, who embeds, and what must be closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from minitoolai.engines.llama import LlamaChat
from minitoolai.engines.llama_embeddings import LlamaEmbeddings
from minitoolai.engines.llama_server import LlamaServer
from minitoolai.engines.openai_chat import OpenAIChat
from minitoolai.engines.openai_embeddings import OpenAIEmbeddings
from minitoolai.engines.openai_upstream import OpenAIUpstream, UpstreamSettings
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.catalogue import STARTER
from minitoolai.runtime.settings import LlamaEngineSettings, OpenAIEngineSettings
from minitoolai.services.ports import ChatEngine, EmbeddingEngine

#: Settings of an engine that are not the upstream's.
_NOT_THE_UPSTREAMS = frozenset({"api_key_env", "breaker_failures", "parallel_images"})


@dataclass
class Engines:
    """Engines by name. An upstream chats and embeds over the same connections; a child of ours does one of the two."""

    chat: dict[str, ChatEngine] = field(default_factory=dict)
    embedding: dict[str, EmbeddingEngine] = field(default_factory=dict)
    #: How many failures in a row open an engine's breaker; 0: none do.
    failures: dict[str, int] = field(default_factory=dict)
    _upstreams: list[OpenAIUpstream] = field(default_factory=list)

    def add_child(self, name: str, settings: LlamaEngineSettings, socket: str) -> None:
        """Add a child, by its Unix socket. Its breaker never opens: it is restarted instead."""
        server = LlamaServer(name, socket, first_byte_s=settings.first_byte_s, total_s=settings.total_s)
        self._upstreams.append(server)
        self.failures[name] = 0
        if settings.embeddings:
            self.embedding[name] = LlamaEmbeddings(server)
        else:
            self.chat[name] = LlamaChat(server, deterministic=name == STARTER)

    def add_upstream(self, name: str, settings: UpstreamSettings, *, failures: int) -> None:
        """Add an upstream."""
        upstream = OpenAIUpstream(name, settings)
        self._upstreams.append(upstream)
        self.failures[name] = failures
        self.chat[name], self.embedding[name] = OpenAIChat(upstream), OpenAIEmbeddings(upstream)

    async def close(self) -> None:
        """Close all connections."""
        for upstream in self._upstreams:
            await upstream.close()


def build_engines(boot: GatewayBoot) -> Engines:
    """Return the engines that the boot document names."""
    engines = Engines()
    for name, settings in boot.engines.items():
        if isinstance(settings, LlamaEngineSettings):
            engines.add_child(name, settings, boot.sockets[name])
        if not isinstance(settings, OpenAIEngineSettings):
            continue  # pictures are drawn by workers
        engines.add_upstream(name, upstream_settings(settings, boot.environment), failures=settings.breaker_failures)
    return engines


def upstream_settings(settings: OpenAIEngineSettings, environment: Mapping[str, str]) -> UpstreamSettings:
    """Return how an upstream is reached; its key is in `environment`."""
    chosen = {key: value for key, value in msgspec.structs.asdict(settings).items() if key not in _NOT_THE_UPSTREAMS}
    return UpstreamSettings(**chosen, api_key=environment.get(settings.api_key_env or ""))
