"""`minitoolai serve`: the whole product under one supervisor: database, engines of our own, gateways."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from minitoolai.core.catalog import TranscriptionModel
from minitoolai.core.inner_errors import ConfigInvalid, OperatorError
from minitoolai.runtime.boot import GatewayBoot
from minitoolai.runtime.catalogue import engines_of, models_of, sandbox_is_on
from minitoolai.runtime.child import ChildFailed, Stopping
from minitoolai.runtime.children import EngineStates, gateway_spec, llama_spec, pictures_spec, sounds_spec
from minitoolai.runtime.first_start import FirstStart, first_start
from minitoolai.runtime.postgres import EmbeddedPostgres
from minitoolai.runtime.run_folder import run_folder
from minitoolai.runtime.secret import check_secret
from minitoolai.runtime.settings import EngineSettings, LlamaEngineSettings, Settings
from minitoolai.runtime.speech_children import start_speech
from minitoolai.runtime.supervisor import Supervisor
from minitoolai.runtime.traces import check_traces
from minitoolai.runtime.variables import gateway_variables
from minitoolai.runtime.vision import pictures_are_inlined
from minitoolai.runtime.worker_children import Workers, job_engines, worker_boot
from minitoolai.storage.blobs import open_blobs
from minitoolai.storage.database import Database
from minitoolai.storage.migrate import migrate
from minitoolai.storage.seal import derive_key

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
    open_blobs(settings.storage.url, options.data_dir, options.environment)  # so is a place for files that cannot be
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
        with run_folder(options.data_dir) as folder:
            await _bring_up(options, supervisor, listener, folder, url, secret)
            _announce(options, listener, first, sandbox=sandbox)
            await supervisor.run_until_stopped()


async def _bring_up(
    options: ServeOptions, supervisor: Supervisor, listener: socket.socket, folder: Path, url: str, secret: bytes
) -> None:
    """Start engines, gateways and workers on a migrated database; returns when calls are answered."""
    settings = options.settings
    engines = engines_of(settings, options.environment)
    models = models_of(settings, options.environment, engines)
    doing_jobs = job_engines(models, engines)
    states = EngineStates(folder / "engines.json")
    workers = Workers(doing_jobs, settings.jobs.workers, states, folder)
    for_workers = worker_boot(
        settings, doing_jobs, options.environment, database_url=url, secret=secret, data_dir=options.data_dir,
        json_log=options.json_log,
    )  # fmt: skip
    sockets = await _start_engines(supervisor, engines, states, folder)
    pictures, sounds = folder / "pictures.sock", folder / "sounds.sock"
    if pictures_are_inlined(models, engines):
        await supervisor.start(pictures_spec(pictures))
    if any(isinstance(model, TranscriptionModel) and model.engine for model in models):
        await supervisor.start(sounds_spec(sounds))
    await workers.start_children(supervisor)
    boot = GatewayBoot(
        settings=settings,
        engines=engines,
        sockets=sockets,
        pictures_socket=str(pictures),
        sounds_socket=str(sounds),
        environment=gateway_variables(settings, engines, options.environment),
        database_url=url,
        replay_key=derive_key(secret, "replays").hex(),
        jobs_key=for_workers.jobs_key,
        signature_key=derive_key(secret, "signatures").hex(),
        files_key=derive_key(secret, "files").hex(),
        webhooks_key=for_workers.webhooks_key,
        data_dir=str(options.data_dir.absolute()),
        listen_fd=listener.fileno(),
        state_file=str(states.file),
        workers_file=str(workers.states.file),
        json_log=options.json_log,
    )
    # Before the gateways, so that they stop after them: calls that wait for pictures get what is being drawn.
    await workers.start_workers(supervisor, for_workers, sockets)
    for number in range(settings.server.workers):
        own = msgspec.structs.replace(boot, metrics_file=str(folder / f"gateway-{number}.metrics"))
        await supervisor.start(gateway_spec(number, own, settings.server.drain_timeout_s))


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
    return {**sockets, **await start_speech(supervisor, engines, states, folder)}


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


def _announce(options: ServeOptions, listener: socket.socket, first: FirstStart | None, *, sandbox: bool) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    lines = [f"MiniToolAI serves on http://{shown}:{port}"]
    if sandbox:
        lines.append(
            "Sandbox: chat and pictures come from the small starter models of this machine. "
            "Set OPENAI_API_KEY and restart, or add an engine to minitoolai.toml."
        )
    if first is not None:
        key = f"Its key is in {first.file}" if first.file else f"Its key, shown once: {first.key}"
        lines.append(f"Account '{first.account}' was made with {first.credit_usd} USD. {key}")
    print("\n".join(lines), flush=True)  # noqa: T201 - the command's own output
