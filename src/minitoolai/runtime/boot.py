"""What the supervising process tells a gateway or a worker: one JSON line on its standard input."""

from __future__ import annotations

from msgspec import Struct

from minitoolai.runtime.settings import EngineSettings, Settings


class GatewayBoot(Struct, frozen=True):
    """A gateway's boot document. It holds secrets: it travels by pipe and is never written down."""

    settings: Settings
    #: All engines by name, the sandbox's included.
    engines: dict[str, EngineSettings]
    #: Unix sockets of the engines that are our own children, by engine.
    sockets: dict[str, str]
    #: Unix socket of the child that decodes pictures; it runs where a model needs it.
    pictures_socket: str
    #: Unix socket of the child that measures sounds; it runs where a model writes down speech.
    sounds_socket: str
    #: The variables that engines name.
    environment: dict[str, str]
    database_url: str
    #: Derived from the server's secret, in hexadecimal: encrypts what is stored of callers' texts.
    replay_key: str
    #: As `replay_key`: encrypts what is asked of jobs; signs jobs, links to files, and what webhooks are told.
    jobs_key: str
    signature_key: str
    files_key: str
    webhooks_key: str
    #: The data folder: files are kept there where no other place is set.
    data_dir: str
    #: The listening socket, inherited under this number.
    listen_fd: int
    #: Where the supervisor writes what it knows of the engines that are its children, and of its workers.
    state_file: str
    workers_file: str
    #: Whether log lines are JSON.
    json_log: bool = False
    #: Where the gateway puts its figures, beside its siblings'; None: nowhere.
    metrics_file: str | None = None


class WorkerBoot(Struct, frozen=True):
    """A worker's boot document; as secret as a gateway's."""

    settings: Settings
    #: The engines that do jobs, by name: those that draw or speak.
    engines: dict[str, EngineSettings]
    #: Unix sockets of the children among them, by engine: this worker's own that draw, and the program's that speak.
    sockets: dict[str, str]
    #: The variables that engines and the store of files name.
    environment: dict[str, str]
    database_url: str
    #: As a gateway's.
    jobs_key: str
    files_key: str
    webhooks_key: str
    data_dir: str
    json_log: bool = False
