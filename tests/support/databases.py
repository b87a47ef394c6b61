"""PostgreSQL servers for tests: each run starts its own, each test gets a database of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from minitoolai.runtime.postgres import EmbeddedPostgres
from minitoolai.storage.migrate import migrate

#: Tests need speed, not durability; those that kill PostgreSQL start one of their own.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
_TEMPLATE = "house_template"


class PostgresForTests:
    """A running server."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._made_template = False

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new migrated database, dropped at the end."""
        if not self._made_template:
            _execute(self._admin_url, f"CREATE DATABASE {_TEMPLATE}")
            asyncio.run(migrate(self._url(_TEMPLATE)))
            self._made_template = True
        name = f"test_{uuid.uuid4().hex[:12]}"
        _execute(self._admin_url, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        try:
            yield self._url(name)
        finally:
            _execute(self._admin_url, f"DROP DATABASE {name} WITH (FORCE)")

    @contextlib.contextmanager
    def empty_database(self) -> Iterator[str]:
        """The URL of a new empty database, dropped at the end."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        _execute(self._admin_url, f"CREATE DATABASE {name}")
        try:
            yield self._url(name)
        finally:
            _execute(self._admin_url, f"DROP DATABASE {name} WITH (FORCE)")

    def _url(self, name: str) -> str:
        parts = urlsplit(self._admin_url)
        return urlunsplit(parts._replace(path=f"/{name}")).replace("postgresql:/test", "postgresql:///test")


def _execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder with a short path that a service user can reach, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="mta-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextlib.contextmanager
def embedded_postgres(folder: Path) -> Iterator[PostgresForTests]:
    """The product's own embedded server, as a plain process of the test run."""
    server = EmbeddedPostgres(folder / "data", settings=_FAST)
    server.prepare()
    spec = server.child_spec()
    process = subprocess.Popen(
        spec.command, env=dict(spec.env), user=spec.user, group=spec.group, extra_groups=[] if spec.user else None,
        cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(server.url(), process)
        password = (folder / "data" / "postgres" / "admin-password").read_text().strip()
        admin = re.sub(r"minitoolai:[^@]*@", f"postgres:{password}@", server.url())
        _execute(admin, "ALTER ROLE minitoolai CREATEDB")
        yield PostgresForTests(server.url())
    finally:
        process.send_signal(spec.stop_signal)
        process.wait(30)
        server.close()


@contextlib.contextmanager
def system_postgres() -> Iterator[PostgresForTests]:
    """Debian's PostgreSQL in a folder of the test run, on a Unix socket."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("no system PostgreSQL: apt-get install postgresql")
    as_root = os.getuid() == 0
    folder = Path("/tmp") / f"mta-pg-{os.getpid()}"
    folder.mkdir(mode=0o700)
    owner = pwd.getpwnam("postgres") if as_root else pwd.getpwuid(os.getuid())
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    who: dict[str, Any] = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if as_root else {}
    data = folder / "data"
    subprocess.run(
        [programs[-1] / "initdb", "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        check=True, capture_output=True, cwd="/", **who,
    )  # fmt: skip
    options = [part for name, value in _FAST.items() for part in ("-c", f"{name}={value}")]
    process = subprocess.Popen(
        [programs[-1] / "postgres", "-D", data, "-c", "listen_addresses=", "-k", folder, *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **who,
    )  # fmt: skip
    url = f"postgresql://tests@/postgres?host={folder}"
    try:
        _wait_for(url, process)
        yield PostgresForTests(url)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    async def answers() -> bool:
        try:
            connection = await asyncpg.connect(url, timeout=2)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        await connection.close()
        return True

    give_up = time.monotonic() + 60
    while not asyncio.run(answers()):
        if process.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError(f"PostgreSQL for tests did not start (status {process.poll()})")
        time.sleep(0.05)
