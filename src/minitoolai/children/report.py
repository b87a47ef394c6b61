"""What a child tells its parent: JSON lines on standard output, and nothing else there.

Native engines print where they like, so the real standard output is taken away from them: `Report.take_stdout`
keeps a private copy of it and points descriptor 1 at standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

#: Smallest step between two `progress` events: 50 lines for a load of any size.
PROGRESS_STEP = 0.02


class BootError(Exception):
    """The child cannot start. `code` is for programs, the message for people and names the remedy."""

    def __init__(self, code: str, message: str) -> None:
        """Keep `code` (stable, lower case with underscores) beside the text."""
        super().__init__(message)
        self.code = code


@dataclass
class Report:
    """Writes events, one JSON line each, to a descriptor of its own."""

    #: Where the lines go; a pipe to the parent.
    descriptor: int
    #: The last fraction told, 0 to 1.
    last_fraction: float = field(default=-1.0, init=False)

    @classmethod
    def take_stdout(cls) -> Report:
        """Keep standard output for events alone; whatever else prints there lands on standard error."""
        own = os.dup(1)
        os.dup2(2, 1)
        return cls(own)

    def event(self, name: str, **facts: Any) -> None:
        """Write one event. A parent that no longer listens is not an error: the lifeline deals with that."""
        line = json.dumps({"event": name, **facts}, ensure_ascii=False) + "\n"
        with contextlib.suppress(BrokenPipeError):
            os.write(self.descriptor, line.encode())

    def progress(self, fraction: float) -> None:
        """Tell how much is done, 0 to 1, dropping steps too small to matter."""
        if fraction - self.last_fraction < PROGRESS_STEP and fraction < 1.0:
            return
        self.last_fraction = fraction
        self.event("progress", fraction=round(fraction, 4))

    def failed(self, error: BootError) -> None:
        """Tell why the child gives up."""
        self.event("failed", code=error.code, message=str(error))
