"""Boot, draw, leave. Exit status 0 when told to stop or when the parent died, 1 when the start failed."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from minitoolai.children import isolation, lifeline
from minitoolai.children.onnx_pictures import folder
from minitoolai.children.onnx_pictures.boot import Boot
from minitoolai.children.report import BootError, Report


def start(boot: Boot) -> dict[str, Any]:
    """Check, load, try out and serve: the facts of `ready`. Raises `BootError`."""
    began = time.monotonic()
    model = folder.read(Path(boot.model_path))
    offline = isolation.cut_network()
    try:
        from minitoolai.children.onnx_pictures import drawing, networks, prompts, server
    except ImportError as error:
        why = f"A package that drawing needs is not installed ({error}). Install it: pip install 'minitoolai[onnx]'."
        raise BootError("engine_missing", why) from error
    words = prompts.load(model)
    loaded = networks.load(model, boot.threads, boot.providers)
    listener = server.listen(boot.socket)
    server.Server(listener, drawing.Drawing(model, words, loaded).draw, boot.parallel).start()
    return {
        "parallel": boot.parallel,
        "threads": loaded.threads,
        "provider": loaded.provider,
        "prediction_type": model.prediction_type,
        "grid": model.grid,
        "load_s": round(time.monotonic() - began, 3),
        "network": not offline,
    }


def main() -> None:
    """Be the child."""
    report = Report.take_stdout()
    try:
        boot = Boot.parse(lifeline.read_line())
        lifeline.arm()
        facts = start(boot)
    except BootError as error:
        report.failed(error)
        sys.stderr.write(f"minitoolai.children.onnx_pictures: {error}\n")
        sys.stderr.flush()
        os._exit(1)

    def clean() -> None:
        with contextlib.suppress(OSError):
            os.unlink(boot.socket)

    lifeline.leave_on_sigterm(clean)
    lifeline.disarm()
    report.event("ready", **facts)
    lifeline.wait(clean)


if __name__ == "__main__":
    main()
