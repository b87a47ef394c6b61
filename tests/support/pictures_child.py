"""The pictures child as a test runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minitoolai.core.picture_wire import Verdict
from tests.support.looking_child import LookingChild


class PicturesChild(LookingChild):
    """A running child."""

    def ask(self, picture: bytes) -> tuple[Verdict, bytes] | None:
        """Return what becomes of a picture; None: no answer."""
        answer = self.answer(picture)
        return None if answer is None else (Verdict(answer[0]), answer[1])


@contextmanager
def pictures_child(folder: Path, boot: object = None) -> Iterator[PicturesChild]:
    """A child, ended afterwards."""
    child = PicturesChild("minitoolai.children.pictures", folder, boot)
    try:
        yield child
    finally:
        child.end()
