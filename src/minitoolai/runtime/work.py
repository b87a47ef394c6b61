"""`minitoolai worker`: one worker and its engines, beside a server or on another machine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minitoolai.core.inner_errors import OperatorError
from minitoolai.runtime.catalogue import engines_of, models_of
from minitoolai.runtime.child import Stopping
from minitoolai.runtime.children import EngineStates
from minitoolai.runtime.postgres import running_url
from minitoolai.runtime.run_folder import run_folder
from minitoolai.runtime.secret import known_secret
from minitoolai.runtime.settings import Settings
from minitoolai.runtime.speech_children import start_speech
from minitoolai.runtime.supervisor import Supervisor
from minitoolai.runtime.worker_children import Workers, job_engines, worker_boot
from minitoolai.storage.blobs import DEFAULT_FOLDER, open_blobs
from minitoolai.storage.database import Database
from minitoolai.storage.migrate import migrate


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """What the command line and the environment say."""

    settings: Settings
    data_dir: Path
    environment: Mapping[str, str]
    #: Whether log lines are JSON.
    json_log: bool = False


class NothingToDo(OperatorError):
    """No picture or speech model of these settings has an engine: give one an engine that draws or speaks in the settings
    file, or point --config to the file that does."""


class NoServer(OperatorError):
    """No server runs over the data folder {folder}, and no other database is named: start `minitoolai serve` there first, or
    name its database with --database or [database] url."""


async def work(options: WorkOptions) -> None:
    """Do jobs until told to stop, and leave nothing behind. Raises `OperatorError`, `DatabaseStartFailed`,
    `DatabaseUnavailable`."""
    settings = options.settings
    everything = engines_of(settings, options.environment)
    engines = job_engines(models_of(settings, options.environment, everything), everything)
    if not engines:
        raise NothingToDo()
    url = settings.database.url or running_url(options.data_dir)
    if url is None:
        raise NoServer(folder=str(options.data_dir))
    options.data_dir.mkdir(parents=True, exist_ok=True)
    open_blobs(settings.storage.url, options.data_dir, options.environment)  # a place that cannot be is refused here
    secret = await _secret(options, url)
    boot = worker_boot(
        settings, engines, options.environment, database_url=url, secret=secret, data_dir=options.data_dir,
        json_log=options.json_log,
    )  # fmt: skip
    with contextlib.suppress(Stopping), run_folder(options.data_dir) as folder:
        async with Supervisor() as supervisor:
            states = EngineStates(folder / "engines.json")
            workers = Workers(engines, 1, states, folder)
            await workers.start_children(supervisor)
            sockets = await start_speech(supervisor, engines, states, folder)
            await workers.start_workers(supervisor, boot, sockets)
            _announce(options, engines)
            await supervisor.run_until_stopped()


async def _secret(options: WorkOptions, url: str) -> bytes:
    await migrate(url)
    database = Database(url)
    try:
        return await known_secret(database, options.settings, options.environment, options.data_dir)
    finally:
        await database.close()


def _announce(options: WorkOptions, engines: Mapping[str, object]) -> None:
    place = options.settings.storage.url or options.data_dir / DEFAULT_FOLDER
    text = f"MiniToolAI works with {', '.join(engines)} and keeps files in {place}"
    print(text, flush=True)  # noqa: T201 - the command's own output
