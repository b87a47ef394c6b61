"""What the supervising process tells a gateway process: one JSON line on its standard input."""

from __future__ import annotations

from msgspec import Struct

from minitoolai.runtime.settings import LlamaEngineSettings, OpenAIEngineSettings, Settings


class GatewayBoot(Struct, frozen=True):
    """A gateway's boot document. It holds secrets: it travels by pipe and is never written down."""

    settings: Settings
    #: All engines by name, the sandbox's included.
    engines: dict[str, OpenAIEngineSettings | LlamaEngineSettings]
    #: Unix sockets of the engines that are our own children, by engine.
    sockets: dict[str, str]
    #: Unix socket of the child that decodes pictures; it runs where a model needs it.
    pictures_socket: str
    #: The variables that engines name.
    environment: dict[str, str]
    database_url: str
    #: Encrypts what is stored of callers' texts: derived from the server's secret, in hexadecimal.
    replay_key: str
    #: The listening socket, inherited under this number.
    listen_fd: int
    #: Where the supervisor writes what it knows of its children.
    state_file: str
    #: Whether log lines are JSON.
    json_log: bool = False
    #: Where the gateway puts its figures, beside its siblings'; None: nowhere.
    metrics_file: str | None = None
