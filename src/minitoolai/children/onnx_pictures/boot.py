"""The boot document of the child that draws."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, fields

from minitoolai.children.report import BootError

#: A Unix socket's path on Linux, including the closing zero (sun_path); 104 on macOS.
MAX_SOCKET_PATH_BYTES = 108 if sys.platform.startswith("linux") else 104
#: Most pictures drawn side by side.
MAX_PARALLEL = 16
#: What every onnxruntime has.
CPU_PROVIDER = "CPUExecutionProvider"


@dataclass(frozen=True)
class Boot:
    """The boot document."""

    #: The model's folder.
    model_path: str
    #: Where to listen; short.
    socket: str
    #: Threads for the arithmetic of one picture; null: as many as there are cores for us.
    threads: int | None = None
    #: onnxruntime's execution providers, the first that is there is used.
    providers: tuple[str, ...] = (CPU_PROVIDER,)
    #: Pictures drawn side by side; more wait, in order.
    parallel: int = 1

    @classmethod
    def parse(cls, line: bytes) -> Boot:
        """A boot document from its line, or `BootError` (`boot_invalid`)."""
        try:
            document = json.loads(line)
            if not isinstance(document, dict):
                raise TypeError("it must be an object")
            unknown = set(document) - {field.name for field in fields(cls)}
            if unknown:
                raise TypeError(f"unknown field {sorted(unknown)[0]!r}")
            if isinstance(document.get("providers"), list):
                document["providers"] = tuple(document["providers"])
            boot = cls(**document)
            boot._check()
        except (ValueError, TypeError) as error:
            raise BootError("boot_invalid", f"The boot document on standard input is not valid: {error}.") from error
        return boot

    def _check(self) -> None:
        """Types and ranges; raises ValueError."""
        for name in ("model_path", "socket"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name} must be a text")
        if self.threads is not None and (type(self.threads) is not int or self.threads < 1):
            raise ValueError("threads must be a positive integer or null")
        if type(self.parallel) is not int or not 1 <= self.parallel <= MAX_PARALLEL:
            raise ValueError(f"parallel must be an integer from 1 to {MAX_PARALLEL}")
        named = isinstance(self.providers, tuple) and all(isinstance(name, str) and name for name in self.providers)
        if not named or not self.providers:
            raise ValueError("providers must be a list of names, at least one")
        if len(os.fsencode(self.socket)) >= MAX_SOCKET_PATH_BYTES:
            raise ValueError(f"socket must be shorter than {MAX_SOCKET_PATH_BYTES} bytes")
