"""llama.cpp's reasons: its binding raises one sentence for every failure, the reason goes to its log.

While a model loads, the log is copied to a file as well, by the two C++ functions of llama.cpp's `common/log.h` that
the wheel exports. Where a later wheel hides them, the failure is told without its reason, which then is on standard
error only.
"""

from __future__ import annotations

import contextlib
import ctypes
import tempfile
from types import TracebackType

from minitoolai.children.report import BootError

#: `common_log_main()`, `common_log_flush(common_log *)` and `common_log_set_file(common_log *, const char *)`,
#: mangled (Itanium ABI: Linux and macOS).
_MAIN, _FLUSH = "_Z15common_log_mainv", "_Z16common_log_flushP10common_log"
_SET_FILE = "_Z19common_log_set_fileP10common_logPKc"
#: Parts of llama.cpp's and ggml's messages when memory cannot be had.
_OUT_OF_MEMORY = ("failed to allocate", "unable to allocate", "out of memory", "bad_alloc", "failed to reserve")
#: Lines of the log that go into the message.
_LINES = 3


class EngineLog:
    """A context in which llama.cpp's log goes to a file too: one without a name, so that no end leaves it behind."""

    def __init__(self) -> None:
        """Nothing is copied before the context is entered."""
        self._copy = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        self._library: ctypes.CDLL | None = None

    def _copy_to(self, path: bytes | None) -> None:
        """Tell llama.cpp where to copy its log; None: nowhere."""
        if self._library is None:
            return
        with contextlib.suppress(AttributeError):  # raised by ctypes for a symbol that is not there
            main = self._library[_MAIN]
            flush, set_file = self._library[_FLUSH], self._library[_SET_FILE]
            main.restype = ctypes.c_void_p
            flush.argtypes, set_file.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_char_p]
            flush(main())
            set_file(main(), path)

    def __enter__(self) -> EngineLog:
        """Begin copying."""
        import xllamacpp.xllamacpp as native

        with contextlib.suppress(OSError):
            self._library = ctypes.CDLL(native.__file__)
        self._copy_to(f"/dev/fd/{self._copy.fileno()}".encode())
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End copying."""
        self._copy_to(None)
        self._copy.close()

    def failure(self, said: str) -> BootError:
        """The failure as an error of ours, with the last errors of the log as its reason."""
        self._copy_to(None)
        self._copy.seek(0)
        return failure(said, self._copy.read().decode("utf-8", "replace"))


def failure(said: str, log: str) -> BootError:
    """Sort a failed load by what llama.cpp logged: `out_of_memory` or `model_invalid`."""
    errors = [line.split(" E ", 1)[1].strip() for line in log.splitlines() if " E " in line]
    reason = "; ".join(errors[:_LINES]) or f"{said} The reason is in the log above"
    if any(mark in log.lower() for mark in _OUT_OF_MEMORY):
        return BootError(
            "out_of_memory",
            f"The machine has too little memory for this model ({reason}). Lower context_tokens or parallel, "
            "use a smaller quantisation, or a machine with more memory.",
        )
    return BootError(
        "model_invalid",
        f"llama.cpp cannot load this model ({reason}). Check that the file is whole, that it is a chat model, and that "
        "xllamacpp is new enough for its architecture (pip install --upgrade xllamacpp).",
    )
