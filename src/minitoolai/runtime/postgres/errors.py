"""The one error of the embedded database, and what to do about the things PostgreSQL says."""

from __future__ import annotations

#: What the server or initdb says, and what to do about it.
REMEDIES = (
    ("No space left on device", "free some disk space, then start again: nothing is lost"),
    ("Disk quota exceeded", "free some disk space, then start again: nothing is lost"),
    ("Read-only file system", "the file system is read-only: choose another --data-dir"),
    ("Permission denied", "the folder and all in it must belong to the server's user: see who owns them"),
    ("could not look up effective user ID", "this user has no name on this machine: add it to /etc/passwd"),
    ("could not map anonymous shared memory", "give this machine or container more memory (256 MB at least)"),
    ("invalid data in file", "the folder is damaged: restore a backup"),
    ("page verification failed", "the disk returned damaged data: restore a backup"),
)


class DatabaseStartFailed(Exception):
    """The embedded database could not be started; the message says why and what to do."""


def remedy(said: str) -> str:
    """What to do about an error, as the end of a sentence; empty if nothing is known."""
    found = [remedy for words, remedy in REMEDIES if words in said]
    return f"; {found[0]}" if found else ""
