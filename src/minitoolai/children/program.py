"""What every program of this room does the same: its boot document, and its life from boot to leaving."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

from minitoolai.children import lifeline
from minitoolai.children.report import BootError, Report

#: A Unix socket's path on Linux, including the closing zero (sun_path); 104 on macOS.
MAX_SOCKET_PATH_BYTES = 108 if sys.platform.startswith("linux") else 104


@dataclass(frozen=True)
class BootDocument:
    """A boot document: one JSON object on standard input, whose fields are those of the class."""

    #: Where to listen; short.
    socket: str

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """A boot document from its line, or `BootError` (`boot_invalid`)."""
        try:
            document = json.loads(line)
            if not isinstance(document, dict):
                raise TypeError("it must be an object")
            unknown = set(document) - {field.name for field in fields(cls)}
            if unknown:
                raise TypeError(f"unknown field {sorted(unknown)[0]!r}")
            boot = cls(**cls.read(document))
            boot.check()
        except (ValueError, TypeError) as error:
            raise BootError("boot_invalid", f"The boot document on standard input is not valid: {error}.") from error
        return boot

    @classmethod
    def read(cls, document: dict[str, Any]) -> Mapping[str, Any]:
        """Return the fields as the class has them, from JSON's."""
        return document

    def check(self) -> None:
        """Types and ranges; raises ValueError."""
        self.check_texts("socket")
        if len(os.fsencode(self.socket)) >= MAX_SOCKET_PATH_BYTES:
            raise ValueError(f"socket must be shorter than {MAX_SOCKET_PATH_BYTES} bytes")

    def check_texts(self, *names: str) -> None:
        """Raise ValueError where a field is no text, or an empty one."""
        for name in names:
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name} must be a text")

    def check_counts(self, *names: str) -> None:
        """Raise ValueError where a field is neither null nor a positive integer."""
        for name in names:
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name} must be a positive integer or null")

    def check_parallel(self, parallel: object, most: int) -> None:
        """Raise ValueError where `parallel` is no integer from 1 to `most`."""
        if type(parallel) is not int or not 1 <= parallel <= most:
            raise ValueError(f"parallel must be an integer from 1 to {most}")


@dataclass(frozen=True)
class ModelBoot(BootDocument):
    """The boot document of a program whose model is a file or a folder."""

    #: Path of the model.
    model_path: str

    def check(self) -> None:
        """Types and ranges; raises ValueError."""
        super().check()
        self.check_texts("model_path")


Boot = TypeVar("Boot", bound=BootDocument)


def live(module: str, kind: type[Boot], start: Callable[[Boot, Report], tuple[object, Mapping[str, Any]]]) -> None:
    """Boot, serve, leave. Exit status 0 when told to stop or when the parent died, 1 when the start failed.

    `start` returns what must be kept while it serves, and the facts of `ready`; it raises `BootError`.
    """
    report = Report.take_stdout()
    try:
        boot = kind.parse(lifeline.read_line())
        lifeline.arm()
        kept, facts = start(boot, report)
    except BootError as error:
        report.failed(error)
        sys.stderr.write(f"{module}: {error}\n")
        sys.stderr.flush()
        os._exit(1)

    def clean() -> None:
        with contextlib.suppress(OSError):
            os.unlink(boot.socket)

    lifeline.leave_on_sigterm(clean)
    lifeline.disarm()
    report.event("ready", **facts)
    lifeline.wait(clean)
    del kept  # never reached; keeps the engine referenced until the end
