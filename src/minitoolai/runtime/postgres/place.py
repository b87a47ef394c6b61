"""Where an embedded database lives and whose it is.

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
import hashlib
import json
import logging
import os
import pwd
import secrets
import shutil
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from minitoolai.runtime.postgres.binaries import reachable
from minitoolai.runtime.postgres.errors import DatabaseStartFailed

#: Who runs the server when we are root, the first that exists.
SERVICE_USERS = ("minitoolai", "postgres", "nobody")
#: Holds data and programs for a service user who cannot enter the data directory.
ELSEWHERE = Path("/var/lib/minitoolai")
#: The longest path of a Unix socket that every system takes, in bytes (macOS 103, Linux 107).
SOCKET_PATH_BYTES = 103
#: PostgreSQL's name for the socket of port 5432.
SOCKET_NAME = ".s.PGSQL.5432"

LOG = logging.getLogger("minitoolai.postgres")


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
    #: Whether the database has been made.
    made: bool

    @classmethod
    def find(cls, control: Path) -> Place | None:
        """The place chosen earlier for this control folder, if one was."""
        path = control / "place.json"
        try:
            chosen = json.loads(path.read_text())
            # What lies inside is named relative to the control folder, so that the data directory may be moved.
            data, socket_folder = control / chosen["data"], control / chosen["socket"]
            made = bool(chosen["made"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise DatabaseStartFailed(f"{path} is damaged ({error}): restore the data directory") from error
        if made and not data.exists():
            raise DatabaseStartFailed(
                f"the database that was in {data} is gone: bring the folder back (is a disk not mounted?), or delete "
                f"{path} to start with an empty database"
            )
        return cls(control, data, socket_folder, owner_of(data), made)

    @classmethod
    def choose(cls, control: Path, elsewhere: Path = ELSEWHERE) -> Place:
        """The place for this control folder, its folders made; the choice is kept. The caller holds the lock.

        As root the data goes to `elsewhere` when the service user could not pass through the data directory. Only
        folders made here get a mode or an owner.
        """
        known = cls.find(control)
        if known is not None:
            data, owner = known.data, known.owner
        else:
            home = control
            if os.geteuid() == 0 and not reachable(control):
                home = elsewhere / hashlib.sha256(os.fsencode(control.parent)).hexdigest()[:16]
                make_folder(elsewhere, 0o755)
                make_folder(home, 0o711)
                name = service_user().name
                LOG.warning("the database lives in %s, since its user %s cannot get to %s", home, name, control)
            data = home / "data"
            owner = owner_of(data)
        run = usable_socket_folder(known.socket if known is not None else data.parent / "run", owner)
        place = cls(control, data, run, owner, data.exists())
        if known != place:
            place.remember()
        return place

    def remember(self) -> None:
        """Keep the choice; once there is data it must be found again or missed, never silently made anew."""
        paths = {"data": self.data, "socket": self.socket}
        inside = self.data.parent == self.control
        said = {name: path.name if inside and path.parent == self.control else str(path) for name, path in paths.items()}
        write_private(self.control / "place.json", json.dumps({**said, "made": self.data.exists()}))

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


def owner_of(data: Path) -> Owner:
    """Who runs the server over `data`: as root its owner or, while there is none, the service user; else ourselves."""
    ours = os.geteuid()
    try:
        found: int | None = data.stat().st_uid
    except FileNotFoundError:
        found = None
    except PermissionError:
        found = -1
    if ours != 0:
        if found not in (None, ours):
            raise DatabaseStartFailed(f"the database in {data} belongs to another user: run as that user, or as root")
        return Owner(None, None, pwd.getpwuid(ours).pw_name if _has_name(ours) else str(ours))
    if found == 0:
        raise DatabaseStartFailed(
            f"the database in {data} belongs to root, and PostgreSQL refuses to run as root: give the folder and all "
            f"in it to the user {service_user().name} (chown -R)"
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


def control_folder(data_dir: Path) -> Path:
    """The control folder, made if it is missing, and the data directory too.

    As root both get a mode that lets the service user pass through; what is in them has its own.
    """
    mode = 0o711 if os.geteuid() == 0 else 0o700
    data_dir = data_dir.resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    make_folder(data_dir, mode)
    make_folder(data_dir / "postgres", mode)
    return data_dir / "postgres"


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
