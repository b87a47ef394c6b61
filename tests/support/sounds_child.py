"""The sounds child as a test runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minitoolai.core.sound_wire import MILLISECONDS, Verdict
from tests.support.looking_child import LookingChild


class SoundsChild(LookingChild):
    """A running child."""

    def ask(self, sound: bytes) -> Verdict | int | None:
        """Return how many milliseconds a sound has, or why it is refused; None: no answer."""
        answer = self.answer(sound)
        if answer is None:
            return None
        verdict, content = answer
        if verdict != Verdict.LENGTH:
            assert content == b""
            return Verdict(verdict)
        (found,) = MILLISECONDS.unpack(content)
        return int(found)


@contextmanager
def sounds_child(folder: Path, boot: object = None) -> Iterator[SoundsChild]:
    """A child, ended afterwards."""
    child = SoundsChild("minitoolai.children.sounds", folder, boot)
    try:
        yield child
    finally:
        child.end()
