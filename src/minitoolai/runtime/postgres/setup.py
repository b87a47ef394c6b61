"""Making a database, and mending its password: the short runs of `initdb` and of PostgreSQL's single-user mode."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minitoolai.runtime.postgres.binaries import Binaries
from minitoolai.runtime.postgres.errors import DatabaseStartFailed, remedy
from minitoolai.runtime.postgres.orphans import lock_alive
from minitoolai.runtime.postgres.place import Place, make_folder, overwrite, remove_tree
from minitoolai.runtime.postgres.settings import ACCESS, ADMIN, ENVIRONMENT, NAME
from minitoolai.runtime.processes import ChildSpec, run_blocking

#: Lines of a failed program's output that its error shows.
SHOWN_LINES = 10

LOG = logging.getLogger("minitoolai.postgres")


@dataclass(frozen=True)
class Setup:
    """Works on one place whose lock we hold; all methods block and raise `DatabaseStartFailed`."""

    place: Place
    binaries: Binaries
    settings: Mapping[str, str]

    def ensure(self) -> None:
        """Make the database if there is none, and its password if that is gone; refuse data we cannot run."""
        data = self.place.data
        version = data / "PG_VERSION"
        if not data.exists():
            self._create()
        elif not version.is_file():
            raise DatabaseStartFailed(f"{data} holds no database: move it away, or restore it from a backup")
        elif (made_by := version.read_text().strip()) != str(self.binaries.major):
            raise DatabaseStartFailed(
                f"the database in {data} was made by PostgreSQL {made_by}, and the programs installed here are "
                f"PostgreSQL {self.binaries.major}: install the version of minitoolai that made it, dump the "
                "database with that version's pg_dump, move the folder away, start this version, and restore "
                "the dump"
            )
        elif self.place.secret("password") is None:
            LOG.warning("the password of the database is gone: setting a new one")
            password = self.place.new_secret("password")
            self._as_admin(data, [f"ALTER ROLE {NAME} PASSWORD '{password}'"])

    def _create(self) -> None:
        """Make the database beside its place, and move it there once it is whole."""
        LOG.info("setting up the database in %s", self.place.data)
        fresh = self.place.data.with_name("data.new")
        alive = lock_alive(self.place)
        try:
            remove_tree(fresh)
            make_folder(fresh, 0o700, self.place.owner)
            command = ["initdb", "-D", str(fresh), "-U", ADMIN, "--auth=reject", "--encoding=UTF8"]
            # PostgreSQL's own C.UTF-8: an update of the system's locales cannot damage an index.
            command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            command += ["--data-checksums", "--no-instructions"]
            if self.settings["fsync"] == "off":
                command.append("--no-sync")
            self._run(command, "", alive)
        finally:
            os.close(alive)
        overwrite(fresh / "pg_hba.conf", ACCESS)
        statements = [
            f"ALTER ROLE {ADMIN} PASSWORD '{self.place.new_secret('admin-password')}'",
            f"CREATE ROLE {NAME} LOGIN PASSWORD '{self.place.new_secret('password')}'",
            f"CREATE DATABASE {NAME} OWNER {NAME}",
            f"REVOKE ALL ON DATABASE {NAME} FROM PUBLIC",
        ]
        self._as_admin(fresh, statements)
        fresh.rename(self.place.data)
        folder = os.open(self.place.data.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self.place.remember()

    def _as_admin(self, data: Path, statements: Sequence[str]) -> None:
        """Run statements in single-user mode, on a data directory that no server uses."""
        alive = lock_alive(self.place)
        try:
            command = ["postgres", "--single", "-D", str(data), "-c", "exit_on_error=true"]
            command += ["-c", "log_min_error_statement=panic", "-c", f"fsync={self.settings['fsync']}", ADMIN]
            self._run(command, "".join(f"{statement}\n" for statement in statements), alive)
        finally:
            os.close(alive)

    def _run(self, command: Sequence[str], text: str, alive: int) -> None:
        """Run one of PostgreSQL's programs to its end; it holds the `alive` lock meanwhile."""
        name, owner = command[0], self.place.owner
        whole = [self.binaries.program(name), *command[1:]]
        done = run_blocking(ChildSpec(name, whole, ENVIRONMENT, owner.uid, owner.gid, cwd="/"), text, [alive])
        if done.returncode != 0:
            said = "\n  ".join(done.stdout.splitlines()[-SHOWN_LINES:])
            raise DatabaseStartFailed(
                f"{name} failed with status {done.returncode} in {self.place.data.parent}{remedy(said)}\n  {said}"
            )
