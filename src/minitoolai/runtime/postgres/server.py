"""The embedded server as a child of a supervisor, and the ways to its URL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from minitoolai.runtime.postgres.binaries import Binaries
from minitoolai.runtime.postgres.client import answers, says_ready
from minitoolai.runtime.postgres.errors import DatabaseStartFailed, remedy
from minitoolai.runtime.postgres.lock import Lock
from minitoolai.runtime.postgres.orphans import lock_alive
from minitoolai.runtime.postgres.place import ELSEWHERE, Place, control_folder, make_folder
from minitoolai.runtime.postgres.settings import ENVIRONMENT, NAME, SETTINGS
from minitoolai.runtime.postgres.setup import Setup
from minitoolai.runtime.processes import ChildSpec, IsAlive
from minitoolai.runtime.supervisor import Supervisor

#: The server's log: so many bytes a file, and so many old files kept.
LOG_BYTES, LOG_FILES = 2_000_000, 3
#: A fast shutdown writes a checkpoint, seconds on a slow disk; after this, in seconds, an immediate one follows.
STOP_TIMEOUT_S = 20.0
#: Pauses between two looks at a starting server, in seconds: short at first, then easy on a long recovery.
FIRST_LOOK_S, LONGEST_LOOK_S = 0.01, 0.25
#: A start that takes longer is reported at this interval, in seconds.
REPORT_S = 5.0
#: Words of the server's log that our own log repeats.
TOLD = ("PANIC:", "recovery", "redo ", "syncing data directory", "was terminated by signal")

LOG = logging.getLogger("minitoolai.postgres")


class EmbeddedPostgres:
    """One server over one data directory: `prepare`, then give `child_spec()` to a supervisor, at last `close`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        binaries: Binaries | None = None,
        settings: Mapping[str, str] | None = None,
        elsewhere: Path = ELSEWHERE,
        purpose: str = "server",
    ) -> None:
        """Nothing is touched yet. `settings` go over the house's own (tests turn `fsync` off)."""
        self._data_dir = data_dir
        self._binaries = binaries
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
                f"the embedded database cannot be set up: {error.strerror or error} ({where}){remedy(str(error))}"
            ) from error
        except BaseException:
            self.close()
            raise

    def child_spec(self) -> ChildSpec:
        """How the supervisor runs the server."""
        place, binaries = self._prepared()
        command = [binaries.program("postgres"), "-D", str(place.data)]
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
            # Immediate: what has not ended in 5 s is killed by the server itself, so an end is certain; the next
            # start recovers. SIGKILL would leave busy backends behind, a fast shutdown may hang on a full disk.
            quit_signal=signal.SIGQUIT,
            death_signal=signal.SIGQUIT,
            on_line=self._heard,
            before_start=self._before_start,
            ready=self.wait_ready,
            explain=_explain,
        )

    def url(self) -> str:
        """The application's database, for asyncpg and libpq: `postgresql://minitoolai:…@/minitoolai?host=…`."""
        return _url(self._prepared()[0])

    async def wait_ready(self, is_alive: IsAlive) -> None:
        """Return when the server answers, however long its recovery takes, or when it has ended.

        Raises `DatabaseStartFailed` when it refuses our password.
        """
        place, _ = self._prepared()
        began = reported = time.monotonic()
        pause_s = FIRST_LOOK_S
        while is_alive():
            if says_ready(place.data / "postmaster.pid") and await answers(_url(place)):
                return
            now = time.monotonic()
            if now - reported >= REPORT_S:
                reported = now
                LOG.info("the database is starting since %.0f s; a recovery may take minutes", now - began)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_LOOK_S)

    def close(self) -> None:
        """Let the data directory go. Stop the server first."""
        if self._place is not None and self._place.socket.parent != self._place.data.parent:
            with contextlib.suppress(OSError):  # a folder in /run or /tmp; in use if the server still runs
                self._place.socket.rmdir()
        if self._lock is not None:
            self._lock.free()
            self._lock = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _prepare(self) -> None:
        if self._binaries is None:
            self._binaries = Binaries.find()
        control = control_folder(self._data_dir)
        if self._lock is None:
            lock = Lock(control / "lock")
            lock.take(self._purpose)
            self._lock = lock
        place = self._place = Place.choose(control, self._elsewhere)
        if place.owner.uid is not None and not self._binaries.usable_by_others():
            self._binaries = self._binaries.copied_to(self._folder_for_programs(place))
        Setup(place, self._binaries, self._settings).ensure()
        make_folder(control / "log", 0o700)
        if self._log is None:
            path = control / "log" / "postgres.log"
            self._log = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
            path.chmod(0o600)

    def _folder_for_programs(self, place: Place) -> Path:
        """Where a copy of the programs goes: one for all data directories, where that can be."""
        if os.access(self._elsewhere if self._elsewhere.exists() else self._elsewhere.parent, os.W_OK):
            make_folder(self._elsewhere, 0o755)
            return self._elsewhere
        return place.control

    def _before_start(self) -> Sequence[int]:
        """Before every start, also after a crash: wait until nothing of the last server is left."""
        place, _ = self._prepared()
        make_folder(place.socket, 0o700, place.owner)  # a cleaner of /tmp may have taken it
        return [lock_alive(place)]

    def _heard(self, _stream: str, line: str) -> None:
        if self._log is not None:
            self._log.handle(logging.makeLogRecord({"msg": line}))
        if any(word in line for word in TOLD):
            LOG.warning("postgres: %s", line)

    def _prepared(self) -> tuple[Place, Binaries]:
        if self._place is None or self._lock is None or self._binaries is None:
            raise RuntimeError("prepare() comes first")
        return self._place, self._binaries


def running_url(data_dir: Path) -> str | None:
    """The URL of the server that runs over this data directory now, None if none does. It may still be starting.

    Raises `DatabaseStartFailed` when this user may not use it.
    """
    place = _place_of(data_dir)
    if place is None or Lock(place.control / "lock").purpose() != "server":
        return None
    return _url(place)


@contextlib.asynccontextmanager
async def temporary_server(
    data_dir: Path,
    *,
    binaries: Binaries | None = None,
    settings: Mapping[str, str] | None = None,
    elsewhere: Path = ELSEWHERE,
) -> AsyncIterator[str]:
    """The URL of a database for one command: of the server that runs there, or of one started for it.

    Raises `DatabaseStartFailed`.
    """
    place = _place_of(data_dir)
    running = running_url(data_dir)
    if running is not None and place is not None:
        await _wait_for_running(running, Lock(place.control / "lock"))
        yield running
        return
    server = EmbeddedPostgres(data_dir, binaries=binaries, settings=settings, elsewhere=elsewhere, purpose="temporary")
    server.prepare()
    supervisor = Supervisor()
    try:
        await supervisor.start(server.child_spec())
        yield server.url()
    finally:
        await supervisor.stop()
        server.close()


async def _wait_for_running(url: str, lock: Lock) -> None:
    """Wait until another process's server answers, or has gone."""
    while not await answers(url):
        if lock.purpose() != "server":
            raise DatabaseStartFailed("the server that used this database has just stopped: try again")
        await asyncio.sleep(LONGEST_LOOK_S)


def _place_of(data_dir: Path) -> Place | None:
    try:
        return Place.find(data_dir.resolve() / "postgres")
    except PermissionError as error:
        raise DatabaseStartFailed(
            f"{error.filename} may not be read by this user: run the command as the user who runs the server"
        ) from error


def _url(place: Place) -> str:
    password = place.secret("password")
    return f"postgresql://{NAME}:{password}@/{NAME}?host={quote(str(place.socket))}&port={SETTINGS['port']}"


def _explain(status: str, last_lines: Sequence[str]) -> Exception:
    said = "\n  ".join(last_lines)
    return DatabaseStartFailed(f"the database server {status} before it was ready{remedy(said)}\n  {said}")
