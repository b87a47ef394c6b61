"""The embedded database: PostgreSQL's own server, run by us as a child, on a Unix socket only.

It lives and dies with us, recovers after any death however long that takes, and is never shared by two servers. Where
it lives is in `postgres_place`, which programs run in `postgres_binaries`, what an earlier one left in
`postgres_orphans`. No SQL of the application belongs here.
"""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg

from minitoolai.runtime.postgres_binaries import Binaries, DatabaseStartFailed
from minitoolai.runtime.postgres_orphans import lock_alive
from minitoolai.runtime.postgres_place import ELSEWHERE, Lock, Place, make_folder, overwrite, remove_tree
from minitoolai.runtime.processes import ChildSpec, IsAlive, run_blocking
from minitoolai.runtime.supervisor import Supervisor

__all__ = ["DatabaseStartFailed", "EmbeddedPostgres", "running_url", "temporary_server"]

#: The role and the database of the application. The role owns the database and is no superuser.
NAME = "minitoolai"
#: The superuser, for upgrades only.
ADMIN = "postgres"
#: The server's log: so many bytes a file, and so many old files kept.
LOG_BYTES, LOG_FILES = 2_000_000, 3
#: A fast shutdown writes a checkpoint, seconds on a slow disk; after this, in seconds, an immediate one follows.
STOP_TIMEOUT_S = 20.0
#: Pauses between two looks at a starting server, in seconds: short at first, then easy on a long recovery.
FIRST_LOOK_S, LONGEST_LOOK_S = 0.01, 0.25
#: A start that takes longer is reported at this interval, in seconds.
REPORT_S = 5.0
#: Words of the server's log that our own log repeats.
TOLD = (
    "PANIC:",
    "recovery",
    "redo",
    "not properly shut down",
    "syncing data directory",
    "terminated by signal",
)

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",  # the Unix socket only
    "port": "5432",  # part of the socket's name
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",  # taken as it is used, so an idle server stays small
    "io_method": "sync",  # the default keeps three more processes
    "max_parallel_workers_per_gather": "0",  # would need /dev/shm, 64 MB in a container; our queries are short
    "dynamic_shared_memory_type": "mmap",  # for the same reason
    "max_wal_size": "512MB",  # bounds the disk taken and the length of a recovery
    "wal_compression": "pglz",
    "synchronous_commit": "on",  # money
    "fsync": "on",
    "full_page_writes": "on",
    "max_logical_replication_workers": "0",  # one process less
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",  # to standard error, which we keep in a bounded file
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    # Errors of statements go to the caller. Their texts quote values, and what callers sent belongs in no log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
#: Who may connect (pg_hba.conf): whoever reaches the socket and knows a password.
ACCESS = "# Written by minitoolai.\nlocal all all scram-sha-256\n"
#: Our environment would reach the server otherwise (PGDATA, LD_PRELOAD …). macOS insists on a locale.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
#: What the server or initdb says, and what to do about it.
REMEDIES = (
    ("No space left on device", "free some disk space, then start again: nothing is lost"),
    ("Disk quota exceeded", "free some disk space, then start again: nothing is lost"),
    ("Read-only file system", "the file system is read-only: choose another --data-dir"),
    ("Permission denied", "the folder and all in it must belong to the server's user: see who owns them"),
    ("could not look up effective user ID", "this user has no name on this machine: add it to /etc/passwd"),
    ("could not map anonymous shared memory", "give this machine or container more memory (256 MB at least)"),
    ("invalid data in file", "the folder is damaged: restore a backup"),
    ("checksum", "the disk returned damaged data: restore a backup"),
)

LOG = logging.getLogger("minitoolai.postgres")


class EmbeddedPostgres:
    """One embedded server over one data directory. `prepare`, then give `child_spec()` to a supervisor, then `close`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        binaries: Binaries | None = None,
        settings: Mapping[str, str] | None = None,
        elsewhere: Path = ELSEWHERE,
        purpose: str = "server",
    ) -> None:
        self._data_dir = data_dir
        self._binaries = binaries
        #: Over `SETTINGS`; for tests (`{"fsync": "off"}`).
        self._settings = {**SETTINGS, **(settings or {})}
        self._elsewhere = elsewhere
        self._purpose = purpose
        self._place: Place | None = None
        self._lock: Lock | None = None
        self._log: logging.handlers.RotatingFileHandler | None = None

    def prepare(self) -> None:
        """Lock the data directory and make the database if there is none. Blocks; may be called again.

        Raises `DatabaseStartFailed`.
        """
        try:
            self._prepare()
        except OSError as error:
            self.close()
            where = error.filename or self._data_dir
            raise DatabaseStartFailed(
                f"the embedded database cannot be set up: {error.strerror or error} ({where}){_remedy(str(error))}"
            ) from error
        except BaseException:
            self.close()
            raise

    def child_spec(self) -> ChildSpec:
        """How the supervisor runs the server."""
        place = self._prepared()
        command = [self._program("postgres"), "-D", str(place.data)]
        for name, value in {**self._settings, "unix_socket_directories": str(place.socket)}.items():
            command += ["-c", f"{name}={value}"]
        return ChildSpec(
            name="postgres",
            command=command,
            env=ENVIRONMENT,
            user=place.owner.uid,
            group=place.owner.gid,
            cwd="/",
            stop_signal=signal.SIGINT,  # fast: ends the sessions, writes a checkpoint
            stop_timeout_s=STOP_TIMEOUT_S,
            # Immediate: kills whatever has not ended in 5 s. SIGKILL would leave busy backends behind, and the fast
            # shutdown may hang on a full disk; the next start recovers from the log.
            quit_signal=signal.SIGQUIT,
            death_signal=signal.SIGQUIT,
            on_line=self._heard,
            before_start=self._before_start,
            ready=self.wait_ready,
            explain=self._explain,
        )

    def url(self) -> str:
        """The application's database, for asyncpg and libpq: `postgresql://minitoolai:…@/minitoolai?host=…`."""
        return _url(self._prepared())

    async def wait_ready(self, is_alive: IsAlive) -> None:
        """Return when the server answers, however long its recovery takes, or when it has ended.

        Raises `DatabaseStartFailed` when it refuses our password.
        """
        place = self._prepared()
        began = reported = time.monotonic()
        pause_s = FIRST_LOOK_S
        while is_alive():
            if _says_ready(place.data / "postmaster.pid") and await _answers(_url(place)):
                return
            if time.monotonic() - reported >= REPORT_S:
                reported = time.monotonic()
                LOG.info(
                    "the database is still starting, %.0f s so far; a recovery may take minutes",
                    reported - began,
                )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_LOOK_S)

    def close(self) -> None:
        """Let the data directory go. Stop the server first."""
        if self._lock is not None:
            self._lock.free()
            self._lock = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _prepare(self) -> None:
        if self._binaries is None:
            self._binaries = Binaries.find()
        if self._place is None:
            self._place = Place.choose(self._data_dir, self._elsewhere)
        place = self._place
        if self._lock is None:
            lock = Lock(place.control / "lock")
            lock.take(self._purpose)
            self._lock = lock
        if place.owner.uid is not None:
            self._binaries = self._binaries_for_others(self._binaries, place)
        version = place.data / "PG_VERSION"
        if not place.data.exists():
            self._create(place)
        elif not version.is_file():
            raise DatabaseStartFailed(
                f"{place.data} holds no database: move it away, or restore it from a backup"
            )
        elif (made_by := version.read_text().strip()) != str(self._binaries.major):
            raise DatabaseStartFailed(
                f"the database in {place.data} was made by PostgreSQL {made_by}, and the programs installed here are "
                f"PostgreSQL {self._binaries.major}: install the version of minitoolai that made it, dump the database "
                "with that version's pg_dump, move the folder away, start this version, and restore the dump"
            )
        elif place.secret("password") is None:
            self._as_admin(
                place, place.data, [f"ALTER ROLE {NAME} PASSWORD '{place.new_secret('password')}'"]
            )
        make_folder(place.control / "log", 0o700)
        if self._log is None:
            self._log = logging.handlers.RotatingFileHandler(
                place.control / "log" / "postgres.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES, delay=True
            )

    def _binaries_for_others(self, binaries: Binaries, place: Place) -> Binaries:
        """Programs that the service user can run: where they are, or a copy."""
        if binaries.usable_by_others():
            return binaries
        if place.data.is_relative_to(self._elsewhere) or os.access(self._elsewhere.parent, os.W_OK):
            make_folder(self._elsewhere, 0o755)
            return binaries.copied_to(self._elsewhere)
        return binaries.copied_to(place.control)

    def _create(self, place: Place) -> None:
        """Make the database beside its place, and move it there once it is whole."""
        LOG.info("setting up the database in %s", place.data)
        fresh = place.data.with_name("data.new")
        remove_tree(fresh)
        make_folder(fresh, 0o700, place.owner)
        alive = lock_alive(place)
        try:
            command = [
                self._program("initdb"),
                "-D",
                str(fresh),
                "-U",
                ADMIN,
                "--auth=reject",
                "--encoding=UTF8",
            ]
            command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            command += ["--data-checksums", "--no-instructions"]
            if self._settings["fsync"] == "off":
                command.append("--no-sync")
            self._run(place, command, "", alive)
        finally:
            os.close(alive)
        overwrite(fresh / "pg_hba.conf", ACCESS)
        statements = [
            f"ALTER ROLE {ADMIN} PASSWORD '{place.new_secret('admin-password')}'",
            f"CREATE ROLE {NAME} LOGIN PASSWORD '{place.new_secret('password')}'",
            f"CREATE DATABASE {NAME} OWNER {NAME}",
            f"REVOKE ALL ON DATABASE {NAME} FROM PUBLIC",
        ]
        self._as_admin(place, fresh, statements)
        fresh.rename(place.data)
        folder = os.open(place.data.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _as_admin(self, place: Place, data: Path, statements: Sequence[str]) -> None:
        """Run statements in single-user mode, on a data directory that no server uses."""
        alive = lock_alive(place)
        try:
            command = [self._program("postgres"), "--single", "-D", str(data), "-c", "exit_on_error=true"]
            command += [
                "-c",
                "log_min_error_statement=panic",
                "-c",
                f"fsync={self._settings['fsync']}",
                ADMIN,
            ]
            self._run(place, command, "".join(f"{statement}\n" for statement in statements), alive)
        finally:
            os.close(alive)

    def _run(self, place: Place, command: Sequence[str], text: str, alive: int) -> None:
        name = Path(command[0]).name
        spec = ChildSpec(name, command, ENVIRONMENT, place.owner.uid, place.owner.gid, cwd="/")
        done = run_blocking(spec, text, [alive])
        if done.returncode != 0:
            said = "\n  ".join(done.stdout.splitlines()[-10:])
            raise DatabaseStartFailed(
                f"{name} failed with status {done.returncode} in {place.data.parent}{_remedy(said)}\n  {said}"
            )

    def _before_start(self) -> Sequence[int]:
        """Before every start, also after a crash: wait until nothing of the last server is left."""
        place = self._prepared()
        make_folder(place.socket, 0o700, place.owner)  # a cleaner of /tmp may have taken it
        return [lock_alive(place)]

    def _heard(self, _stream: str, line: str) -> None:
        if self._log is not None:
            self._log.handle(logging.makeLogRecord({"msg": line}))
        if any(word in line for word in TOLD):
            LOG.warning("postgres: %s", line)

    def _explain(self, status: str, last_lines: Sequence[str]) -> Exception:
        said = "\n  ".join(last_lines)
        return DatabaseStartFailed(
            f"the database server {status} before it was ready{_remedy(said)}\n  {said}"
        )

    def _program(self, name: str) -> str:
        assert self._binaries is not None
        return self._binaries.program(name)

    def _prepared(self) -> Place:
        if self._place is None or self._lock is None:
            raise RuntimeError("prepare() comes first")
        return self._place


def running_url(data_dir: Path) -> str | None:
    """The URL of the server that runs over this data directory now, None if none does. It may still be starting.

    Raises `DatabaseStartFailed` when this user may not use it.
    """
    place = _place_of(data_dir)
    if place is None or Lock(place.control / "lock").purpose() != "server":
        return None
    return _url(place)


@asynccontextmanager
async def temporary_server(
    data_dir: Path, *, settings: Mapping[str, str] | None = None, elsewhere: Path = ELSEWHERE
) -> AsyncIterator[str]:
    """The URL of a database over this data directory for one command: of the server that runs, or of one started for it.

    Raises `DatabaseStartFailed`.
    """
    running = running_url(data_dir)
    place = _place_of(data_dir)
    if running is not None and place is not None:
        lock = Lock(place.control / "lock")
        await _wait_for_running(running, lambda: lock.purpose() == "server")
        yield running
        return
    server = EmbeddedPostgres(data_dir, settings=settings, elsewhere=elsewhere, purpose="temporary")
    server.prepare()
    supervisor = Supervisor()
    try:
        await supervisor.start(server.child_spec())
        yield server.url()
    finally:
        await supervisor.stop()
        server.close()


async def _wait_for_running(url: str, is_alive: IsAlive) -> None:
    """Wait until another process's server answers, or has gone."""
    while not await _answers(url):
        if not is_alive():
            raise DatabaseStartFailed(
                "the server that used this database has just stopped: run the command again"
            )
        await asyncio.sleep(LONGEST_LOOK_S)


def _place_of(data_dir: Path) -> Place | None:
    try:
        return Place.find(data_dir)
    except PermissionError as error:
        raise DatabaseStartFailed(
            f"{error.filename} may not be read by this user: run the command as the user who runs the server"
        ) from error


def _url(place: Place) -> str:
    password = place.secret("password")
    return f"postgresql://{NAME}:{password}@/{NAME}?host={quote(str(place.socket))}&port={SETTINGS['port']}"


def _says_ready(pid_file: Path) -> bool:
    """Whether the server's own status line (the eighth) says so: asking it by a connection would fill its log."""
    try:
        lines = pid_file.read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


async def _answers(url: str) -> bool:
    """Whether the server takes our password and a query."""
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise DatabaseStartFailed(
            "the embedded database refuses the password in its folder: delete the file `password` there, then start again"
        ) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False  # starting, or out of connections for the moment
    try:
        await connection.execute("SELECT 1")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    finally:
        connection.terminate()
    return True


def _remedy(said: str) -> str:
    """What to do about an error, as the end of a sentence."""
    found = [remedy for words, remedy in REMEDIES if words in said]
    return f"; {found[0]}" if found else ""
