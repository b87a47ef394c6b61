"""The parts of the embedded database that need no server: locks, places, words."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
from pathlib import Path

import pytest

from minitoolai.runtime.postgres import server
from minitoolai.runtime.postgres.errors import DatabaseStartFailed, remedy
from minitoolai.runtime.postgres.lock import Lock, open_and_lock
from minitoolai.runtime.postgres.place import (
    SOCKET_NAME,
    SOCKET_PATH_BYTES,
    Owner,
    Place,
    make_folder,
    overwrite,
    usable_socket_folder,
    write_private,
)

OURSELVES = Owner(None, None, "me")


def test_a_lock_says_for_what_it_is_held(tmp_path: Path) -> None:
    """Only while it is held; a second taker is refused, a reader changes nothing."""
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert second.purpose() is None
    first.take("server")
    assert first.held
    assert second.purpose() == "server"
    with pytest.raises(DatabaseStartFailed, match="another minitoolai server"):
        second.take("server")
    first.free()
    assert second.purpose() is None
    second.take("temporary")
    assert first.purpose() == "temporary"
    second.free()


def test_a_lock_lasts_as_long_as_any_heir_of_its_descriptor(tmp_path: Path) -> None:
    """The server inherits it: our own end does not free it while one process of the server lives."""
    path = tmp_path / "alive"
    descriptor = open_and_lock(path)
    assert descriptor is not None
    heir = os.dup(descriptor)
    os.close(descriptor)
    assert open_and_lock(path) is None
    os.close(heir)
    again = open_and_lock(path)
    assert again is not None
    os.close(again)


def test_a_socket_folder_of_another_kind_is_never_used(tmp_path: Path) -> None:
    """Open to others, a link, or too deep: a fresh private one is made instead."""
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(shared)
    deep = tmp_path / ("d" * SOCKET_PATH_BYTES)
    deep.mkdir(mode=0o700)
    for wanted in (shared, link, deep, tmp_path / "missing" / "run"):
        found = usable_socket_folder(wanted, OURSELVES)
        try:
            assert found != wanted
            assert stat.S_IMODE(found.lstat().st_mode) == 0o700
            assert len(os.fsencode(found / SOCKET_NAME)) <= SOCKET_PATH_BYTES
        finally:
            found.rmdir()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755


def test_folders_that_are_there_keep_their_mode(tmp_path: Path) -> None:
    """Only what we make gets a mode from us."""
    tmp_path.chmod(0o750)
    make_folder(tmp_path, 0o700)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750
    make_folder(tmp_path / "new", 0o711)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o711


def test_private_files_are_replaced_whole_and_links_not_followed(tmp_path: Path) -> None:
    """Secrets are 0600 whatever the umask; a planted link is refused."""
    before = os.umask(0)
    try:
        write_private(tmp_path / "password", "one")
        write_private(tmp_path / "password", "two")
    finally:
        os.umask(before)
    assert (tmp_path / "password").read_text() == "two"
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        overwrite(tmp_path / "link", "lost")
    assert (tmp_path / "target").read_text() == "kept"


def test_a_remembered_place_is_relative_and_a_damaged_memory_is_an_error(tmp_path: Path) -> None:
    """A data directory may be moved; a database is never silently made anew."""
    control = tmp_path / "one" / "postgres"
    (control / "data").mkdir(parents=True)
    Place(control, control / "data", control / "run", OURSELVES, True).remember()
    assert json.loads((control / "place.json").read_text()) == {"data": "data", "socket": "run", "made": True}
    moved = (tmp_path / "one").rename(tmp_path / "two") / "postgres"
    if os.geteuid() != 0:  # root's data would be refused
        found = Place.find(moved)
        assert found is not None
        assert found.data == moved / "data"
    (moved / "data").rmdir()
    with pytest.raises(DatabaseStartFailed, match="is gone"):
        Place.find(moved)
    (moved / "place.json").write_text("{}")
    with pytest.raises(DatabaseStartFailed, match="is damaged"):
        Place.find(moved)


def test_what_postgresql_says_gets_a_remedy() -> None:
    """A full disk is the commonest; what is unknown gets none."""
    assert "free some disk space" in remedy('FATAL:  could not write to file "x": No space left on device')
    assert remedy("Data page checksums are enabled.") == ""


async def test_a_long_recovery_is_waited_for_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No limit while the server lives; at once when it has ended."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(server, "REPORT_S", 0.05)
    monkeypatch.setattr(server, "says_ready", lambda _: False)
    database = server.EmbeddedPostgres(tmp_path)
    place = Place(tmp_path, tmp_path / "data", tmp_path / "run", OURSELVES, True)
    monkeypatch.setattr(database, "_prepared", lambda: (place, None))
    looks = iter([True] * 12)
    await asyncio.wait_for(database.wait_ready(lambda: next(looks, False)), 10)
    assert "a recovery may take minutes" in caplog.text
