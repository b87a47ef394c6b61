"""Where an embedded database lives, whose it is, and the two locks that keep everyone else out.

    <data-dir>/postgres/            the control folder, ours
        lock                        held by the process that runs the server; says for what ("server", "temporary")
        alive                       held by the server itself and all its processes: free means that none is left
        place.json                  the two folders below, once chosen; believed for ever
        password, admin-password    0600
        log/postgres.log            written by us, bounded
        data/                       the server's own, 0700, or in /var/lib/minitoolai/<digest>/ (see `Place.choose`)
        run/                        the socket, 0700, or a short folder in /run or /tmp

No pid is ever believed: a pid is reused, a lock is not.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import socket
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from minitoolai.runtime.postgres_binaries import DatabaseStartFailed, reachable

#: Who runs the server when we are root, the first that exists.
SERVICE_USERS = ("minitoolai", "postgres", "nobody")
#: Holds data and programs for a service user who cannot enter the data directory.
ELSEWHERE = Path("/var/lib/minitoolai")
#: The longest path of a Unix socket that every system takes, in bytes (macOS 103, Linux 107).
SOCKET_PATH_BYTES = 103
#: PostgreSQL's name for the socket of port 5432.
SOCKET_NAME = ".s.PGSQL.5432"
#: A lock may be held for a moment by `running_for`, which only looks: try for so long, in seconds.
LOOK_S = 1.0
#: A command may be using the database for a moment: a server waits for it so long, in seconds.
TEMPORARY_S = 60.0


@dataclass(frozen=True)
class Owner:
    """The user who runs the server; None for ourselves."""

    uid: int | None
    gid: int | None
    name: str


@dataclass(frozen=True)
class Place:
    """The folders of one database."""

    control: Path
    data: Path
    socket: Path
    owner: Owner

    @classmethod
    def find(cls, data_dir: Path) -> Place | None:
        """The place chosen earlier for this data directory, if one was."""
        control = data_dir.resolve() / "postgres"
        try:
            chosen = json.loads((control / "place.json").read_text())
        except FileNotFoundError:
            return None
        data = Path(chosen["data"])
        return cls(control, data, Path(chosen["socket"]), owner_of(data))

    @classmethod
    def choose(cls, data_dir: Path, elsewhere: Path = ELSEWHERE) -> Place:
        """The place for this data directory, its folders made; the choice is kept.

        As root the data goes to `elsewhere` when the service user could not pass through the data directory. Only
        folders made here get a mode or an owner.
        """
        data_dir = make_data_dir(data_dir)
        control = data_dir / "postgres"
        make_folder(control, 0o711 if os.geteuid() == 0 else 0o700)
        known = cls.find(data_dir)
        if known is not None:
            data, owner = known.data, known.owner
        else:
            home = control
            if os.geteuid() == 0 and not reachable(control):
                home = elsewhere / hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
                make_folder(elsewhere, 0o755)
                make_folder(home, 0o711)
            data = home / "data"
            owner = owner_of(data)
        run = usable_socket_folder(known.socket if known is not None else data.parent / "run", owner)
        place = cls(control, data, run, owner)
        if known != place:
            write_private(control / "place.json", json.dumps({"data": str(data), "socket": str(run)}))
        return place

    def secret(self, name: str) -> str | None:
        """A stored password, None if there is none."""
        try:
            return (self.control / name).read_text().strip()
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise DatabaseStartFailed(
                f"{self.control / name} may not be read by this user: run the command as the user who runs the server"
            ) from error

    def new_secret(self, name: str) -> str:
        """Make and store a password."""
        password = secrets.token_urlsafe(32)
        write_private(self.control / name, password)
        return password


class Lock:
    """A lock file; held from `take` to `free`, and let go by the kernel at our death, however we die."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def take(self, purpose: str) -> None:
        """Take it for "server" or "temporary". Waits for a temporary holder; raises `DatabaseStartFailed` for another."""
        began = time.monotonic()
        while not self._try(purpose):
            holder = self.purpose()
            if time.monotonic() - began > (TEMPORARY_S if holder == "temporary" else LOOK_S):
                raise DatabaseStartFailed(
                    f"another minitoolai {'command' if holder == 'temporary' else 'server'} uses the database in "
                    f"{self.path.parent}: stop it first, or start this one with another --data-dir"
                )
            time.sleep(0.05)

    def free(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def purpose(self) -> str | None:
        """What its holder holds it for; None when nobody holds it."""
        try:
            with self.path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read().strip() or "server"
        except FileNotFoundError:
            pass
        return None

    def _try(self, purpose: str) -> bool:
        descriptor = open_and_lock(self.path)
        if descriptor is None:
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, purpose.encode())
        self._descriptor = descriptor
        return True


def open_and_lock(path: Path) -> int | None:
    """A descriptor that holds the lock, None when someone else does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def owner_of(data: Path) -> Owner:
    """Who runs the server over `data`: its owner, else (before there is data) the service user. Ourselves if not root."""
    ours = os.geteuid()
    try:
        found: int | None = data.stat().st_uid
    except FileNotFoundError:
        found = None
    except PermissionError:
        found = -1
    if ours != 0:
        if found not in (None, ours):
            raise DatabaseStartFailed(
                f"the database in {data} belongs to another user: run as that user, or as root"
            )
        return Owner(None, None, pwd.getpwuid(ours).pw_name if _has_name(ours) else str(ours))
    if found == 0:
        raise DatabaseStartFailed(
            f"the database in {data} belongs to root, and PostgreSQL refuses to run as root: give the folder and all in "
            f"it to the user {service_user().name} (chown -R)"
        )
    if found is None:
        return service_user()
    entry = pwd.getpwuid(found) if _has_name(found) else None
    return Owner(found, entry.pw_gid if entry else data.stat().st_gid, entry.pw_name if entry else str(found))


def service_user() -> Owner:
    """The unprivileged user who runs the server when we are root."""
    for name in SERVICE_USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Owner(entry.pw_uid, entry.pw_gid, name)
    raise DatabaseStartFailed(
        f"PostgreSQL refuses to run as root, and none of the users {', '.join(SERVICE_USERS)} exists: add one "
        "(useradd --system minitoolai), start as another user, or set [database] url"
    )


def make_data_dir(data_dir: Path) -> Path:
    """The data directory, made if it is missing: as root so that a service user may pass through it."""
    data_dir = data_dir.absolute()
    if not data_dir.is_dir():
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        make_folder(data_dir, 0o711 if os.geteuid() == 0 else 0o700)
    return data_dir.resolve()


def make_folder(path: Path, mode: int, owner: Owner | None = None) -> None:
    """Make one folder with exactly this mode; a folder that is there stays as it is."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    path.chmod(mode)
    if owner is not None and owner.uid is not None:
        os.chown(path, owner.uid, owner.gid if owner.gid is not None else -1)


def usable_socket_folder(wanted: Path, owner: Owner) -> Path:
    """`wanted` if a socket fits and works there, else a fresh short folder that only the server's user may enter."""
    if len(os.fsencode(wanted / SOCKET_NAME)) <= SOCKET_PATH_BYTES and wanted.parent.is_dir():
        make_folder(wanted, 0o700, owner)
        if _is_private(wanted, owner) and _takes_sockets(wanted):
            return wanted
    base = "/run" if os.geteuid() == 0 and os.access("/run", os.W_OK) else "/tmp"  # noqa: S108 - mkdtemp, 0700
    fresh = Path(tempfile.mkdtemp(prefix="minitoolai-", dir=base))
    if owner.uid is not None:
        os.chown(fresh, owner.uid, owner.gid if owner.gid is not None else -1)
    return fresh


def write_private(path: Path, text: str) -> None:
    """Replace a 0600 file as a whole."""
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)


def overwrite(path: Path, text: str) -> None:
    """New content for a file that stays its owner's; follows no link, since its folder is not ours."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def remove_tree(path: Path) -> None:
    """Remove what an interrupted set-up left."""
    if path.exists():
        shutil.rmtree(path)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:  # a container's arbitrary uid
        return False
    return True


def _is_private(folder: Path, owner: Owner) -> bool:
    """A real folder of the server's user that nobody else may enter (not one planted in /tmp by another user)."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    uid = os.geteuid() if owner.uid is None else owner.uid
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and found.st_mode & 0o077 == 0


def _takes_sockets(folder: Path) -> bool:
    """Some network and shared file systems hold no sockets."""
    probe = folder / "probe"
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(probe))
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return True
