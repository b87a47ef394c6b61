"""Boot, draw, leave. Exit status 0 when told to stop or when the parent died, 1 when the start failed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from minitoolai.children import isolation
from minitoolai.children.onnx_pictures import folder
from minitoolai.children.onnx_pictures.boot import Boot
from minitoolai.children.program import live
from minitoolai.children.report import BootError, Report


def start(boot: Boot, _report: Report) -> tuple[object, dict[str, Any]]:
    """Check, load, try out and serve: what must be kept, and the facts of `ready`. Raises `BootError`."""
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
    serving = server.serve(boot.socket, drawing.Drawing(model, words, loaded).draw, boot.parallel)
    return serving, {
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
    live("minitoolai.children.onnx_pictures", Boot, start)


if __name__ == "__main__":
    main()
