"""`minitoolai serve`: the whole product under one supervisor: database, engines of our own, gateways."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from minitoolai.core.inner_errors import ConfigInvalid, OperatorError
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.catalogue import EngineSettings, engines_of, models_of, sandbox_is_on
from minitoolai.runtime.child import ChildFailed, Stopping
from minitoolai.runtime.children import EngineStates, gateway_spec, llama_spec, pictures_spec
from minitoolai.runtime.first_start import FirstStart, first_start
from minitoolai.runtime.postgres import EmbeddedPostgres
from minitoolai.runtime.secret import check_secret
from minitoolai.runtime.settings import LlamaEngineSettings, OpenAIEngineSettings, Settings
from minitoolai.runtime.supervisor import Supervisor
from minitoolai.runtime.traces import check_traces
from minitoolai.runtime.vision import pictures_are_inlined
from minitoolai.storage.database import Database
from minitoolai.storage.migrate import migrate
from minitoolai.storage.seal import derive_key

#: A Unix socket's whole path has at most 103 bytes (macOS); process id and name here take up to 23.
MAX_FOLDER_BYTES = 80

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line and the environment say."""

    settings: Settings
    data_dir: Path
    environment: Mapping[str, str]
    #: Whether log lines are JSON.
    json_log: bool = False


class ServeFailed(OperatorError):
    """{why}"""


async def serve(options: ServeOptions) -> None:
    """Bring everything up, say so, run until told to stop, leave nothing behind.

    Raises `OperatorError`, `DatabaseStartFailed`, `DatabaseUnavailable`.
    """
    settings = options.settings
    models_of(settings, options.environment)  # a catalogue that is wrong is refused before anything starts
    check_traces(settings.telemetry.otlp_endpoint)
    options.data_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(Stopping):
        async with Supervisor() as supervisor:
            listener = bind(settings.server.host, settings.server.port)
            supervisor.before_stop = listener.close  # new callers are refused at once, and not kept waiting
            try:
                await _run(options, supervisor, listener)
            except ChildFailed as error:
                raise ServeFailed(why=str(error)) from error
            finally:
                listener.close()


async def _run(options: ServeOptions, supervisor: Supervisor, listener: socket.socket) -> None:
    async with _database(options, supervisor) as url:
        await migrate(url)
        database = Database(url)
        try:
            secret = await check_secret(database, options.settings, options.environment, options.data_dir)
            sandbox = sandbox_is_on(options.settings, options.environment)
            first = await first_start(database, options.data_dir, sandbox=sandbox)
        finally:
            await database.close()
        with _run_folder(options.data_dir) as folder:
            engines = engines_of(options.settings, options.environment)
            states = EngineStates(folder / "engines.json")
            sockets = await _start_engines(supervisor, engines, states, folder)
            pictures = folder / "pictures.sock"
            if pictures_are_inlined(models_of(options.settings, options.environment), engines):
                await supervisor.start(pictures_spec(pictures))
            boot = GatewayBoot(
                settings=options.settings,
                engines=engines,
                sockets=sockets,
                pictures_socket=str(pictures),
                environment=_named_variables(options.settings, engines, options.environment),
                database_url=url,
                replay_key=derive_key(secret, "replays").hex(),
                listen_fd=listener.fileno(),
                state_file=str(states.file),
                json_log=options.json_log,
            )
            for number in range(options.settings.server.workers):
                own = msgspec.structs.replace(boot, metrics_file=str(folder / f"gateway-{number}.metrics"))
                spec = gateway_spec(number, own, options.settings.server.drain_timeout_s)
                await supervisor.start(spec)
            _announce(options, listener, first, sandbox=sandbox)
            await supervisor.run_until_stopped()


@contextlib.asynccontextmanager
async def _database(options: ServeOptions, supervisor: Supervisor) -> AsyncIterator[str]:
    """The database's URL: the one in the settings, or the embedded server's, started as a child."""
    url = options.settings.database.url
    if url is not None:
        yield url
        return
    embedded = EmbeddedPostgres(options.data_dir)
    embedded.prepare()
    try:
        await supervisor.start(embedded.child_spec())
        yield embedded.url()
    finally:
        await supervisor.stop()
        embedded.close()


async def _start_engines(
    supervisor: Supervisor, engines: Mapping[str, EngineSettings], states: EngineStates, folder: Path
) -> dict[str, str]:
    """Start the engines that are children of ours; they load while the gateways come up."""
    sockets: dict[str, str] = {}
    for name, engine in engines.items():
        if isinstance(engine, LlamaEngineSettings):
            path = folder / f"{len(sockets)}.sock"
            sockets[name] = str(path)
            await supervisor.start(llama_spec(name, engine, path, states))
    return sockets


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises `ServeFailed` naming the remedy."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
        listener.set_inheritable(True)
    except socket.gaierror:
        raise ConfigInvalid(source="server.host", why=f"'{host}' is no address of this machine") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServeFailed(
                why=f"port {port} on {host} is in use: stop what uses it, or choose another with --port"
            ) from None
        raise ServeFailed(why=f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener


def _lives(pid: str) -> bool:
    """Whether `pid` is the number of a process."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _run_folder(data_dir: Path) -> Iterator[Path]:
    """A folder for sockets, for this user alone: in the data folder where the path is short enough for a socket."""
    inside = data_dir.absolute() / "run"
    if len(os.fsencode(inside)) <= MAX_FOLDER_BYTES:
        inside.mkdir(mode=0o700, exist_ok=True)
        for left in inside.iterdir():
            if not _lives(left.name):
                shutil.rmtree(left, ignore_errors=True)
        own = inside / str(os.getpid())  # two servers may share a data folder, over a database elsewhere
        own.mkdir(mode=0o700, exist_ok=True)
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)
        return
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="minitoolai-", dir=base, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _named_variables(
    settings: Settings, engines: Mapping[str, EngineSettings], environment: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that the settings name. Raises `ConfigInvalid` when one is not set."""
    named = [
        (f"engines.{name}.api_key_env", engine.api_key_env, "the key of the engine")
        for name, engine in engines.items()
        if isinstance(engine, OpenAIEngineSettings)
    ]
    named.append(("server.metrics_token_env", settings.server.metrics_token_env, "a token for /metrics"))
    named.append(("telemetry.otlp_headers_env", settings.telemetry.otlp_headers_env, "the collector's headers"))
    found = {}
    for source, variable, what in named:
        if variable is None:
            continue
        if not environment.get(variable):
            raise ConfigInvalid(source=source, why=f"the variable {variable} is not set; export it with {what}")
        found[variable] = environment[variable]
    if environment.get("OPENAI_API_KEY"):
        found["OPENAI_API_KEY"] = environment["OPENAI_API_KEY"]
    return found


def _announce(options: ServeOptions, listener: socket.socket, first: FirstStart | None, *, sandbox: bool) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    lines = [f"MiniToolAI serves on http://{shown}:{port}"]
    if sandbox:
        lines.append(
            "Sandbox: every model is answered by the small starter model of this machine. "
            "Set OPENAI_API_KEY and restart, or add an engine to minitoolai.toml."
        )
    if first is not None:
        key = f"Its key is in {first.file}" if first.file else f"Its key, shown once: {first.key}"
        lines.append(f"Account '{first.account}' was made with {first.credit_usd} USD. {key}")
    print("\n".join(lines), flush=True)  # noqa: T201 - the command's own output
