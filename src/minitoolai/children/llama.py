"""`python -m minitoolai.children.llama`: one model that chats or embeds, by llama.cpp's own server, over a Unix socket.

Boot document (one JSON line on standard input, which then stays open as the lifeline): see `Boot`.
Events on standard output: `progress` (`fraction`: how much of the file has been paged in; llama.cpp's binding has no
progress callback, the step from paged in to ready is the engine's own and silent), `ready`, `failed` (`code` one of
boot_invalid, cpu_unsupported, engine_missing, model_missing, model_invalid, out_of_memory).

After `ready` llama.cpp answers on its own threads and Python only waits for the lifeline. What must never enter:
requests and replies; they go between the gateway and llama.cpp untouched.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minitoolai.children import cpu, gguf_header, isolation
from minitoolai.children.engine_log import EngineLog
from minitoolai.children.program import ModelBoot, live
from minitoolai.children.report import BootError, Report

#: Context of one slot where the boot document names none: the model's own, up to this many tokens. Trained contexts
#: of 128k and more would take gigabytes of cache per slot.
DEFAULT_CONTEXT_TOKENS = 8192
#: Most requests decoded side by side.
MAX_PARALLEL = 64
#: Up to this size one thread is fastest: 9400 tokens/s against 1100 with two, measured on 2 cores with 0.4 MB.
SINGLE_THREAD_BYTES = 32 << 20
#: Rounds that OpenMP's threads spin before they sleep. Unset they spin for long, and beside two busy processes a
#: 670 MB model fell from 44 to 1 token/s; with this it gave 26, and 42 of the 44 on an idle machine.
OPENMP_SPINS = "1000"
#: Bytes read at a time while paging the file in.
PAGE_IN_BYTES = 16 << 20
#: A share of the free memory that a file may have to be paged in ahead; a larger one would push itself out again.
PAGE_IN_SHARE = 0.8
#: Prompt tokens computed at a time on a processor: a cancelled request frees its slot, and the other slots write on,
#: after one batch. llama.cpp's 2048 can be a minute; 64 were the fastest of 64 to 512 as well (185 to 102 tokens/s).
CPU_BATCH_TOKENS = 64
#: Variables that would change what the engine is: a child of llama.cpp's router, a service of Google's.
ENGINE_VARIABLES = ("LLAMA_", "AIP_")
#: Every open connection, idle ones too, occupies one of llama.cpp's HTTP threads. Its default of slots + 4 lets the
#: next connection wait 100 ms and more.
HTTP_THREADS = 64
#: What is no picture goes to an ffprobe found in PATH, unless a folder is named: there is none in this one.
NO_FOLDER = "/dev/null"
#: How a text's tokens become one vector, as GGUF files number it: mean, first, last. 0 is none, 4 makes rerankers.
POOLINGS = (1, 2, 3)
#: No comment lines in silent streams: the gateway writes its own, and these would not begin before the first token.
SSE_PING_S = -1


@dataclass(frozen=True)
class Boot(ModelBoot):
    """The boot document. `model_path` is the GGUF file; `socket` ends in `.sock`, by which llama.cpp tells sockets."""

    #: The model's name in replies.
    alias: str
    #: Context of one slot; null: the model's own, up to `DEFAULT_CONTEXT_TOKENS`.
    context_tokens: int | None = None
    #: Slots: requests decoded side by side.
    parallel: int = 1
    #: Threads for arithmetic; null: see `default_threads`.
    threads: int | None = None
    #: The vision projector's GGUF file; null: the model takes text only.
    mmproj_path: str | None = None
    #: A Jinja template in place of the file's own.
    chat_template: str | None = None
    #: Whether it turns texts into vectors; it does not chat then.
    embeddings: bool = False

    def check(self) -> None:
        """Types and ranges; raises ValueError."""
        super().check()
        self.check_texts("alias")
        for name in ("mmproj_path", "chat_template"):
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(f"{name} must be a text or null")
        self.check_counts("context_tokens", "threads")
        self.check_parallel(self.parallel, MAX_PARALLEL)
        if type(self.embeddings) is not bool:
            raise ValueError("embeddings must be true or false")
        if not self.socket.endswith(".sock"):
            raise ValueError("socket must end in .sock")


def check_pooling(header: gguf_header.Header) -> None:
    """Raise `BootError` (`model_invalid`) for a file that does not say how a text's tokens become one vector."""
    if header.of_architecture("pooling_type") not in POOLINGS:
        raise BootError(
            "model_invalid",
            "The model file names no pooling, so it is not an embedding model. Use one that is, or let it chat: remove "
            "embeddings = true.",
        )


def available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not tell (macOS)."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def context_of(boot: Boot, header: gguf_header.Header) -> int:
    """Tokens of context for one slot: what was asked for, never above what the model was trained for."""
    trained = header.context_tokens or DEFAULT_CONTEXT_TOKENS
    return min(boot.context_tokens or DEFAULT_CONTEXT_TOKENS, trained)


def check_memory(header: gguf_header.Header, context_tokens: int, parallel: int, free: int | None) -> None:
    """Raise `BootError` (`out_of_memory`) when the caches alone exceed the free memory.

    The weights are mapped from the file and may be dropped by the kernel; the caches cannot, and Linux would promise
    the memory and kill us later.
    """
    needed = header.kv_bytes_per_token * context_tokens * parallel
    if free is not None and needed > free:
        raise BootError(
            "out_of_memory",
            f"{parallel} slots of {context_tokens} tokens need {needed >> 20} MiB of cache, {free >> 20} MiB are free. "
            "Lower context_tokens or parallel, or use a machine with more memory.",
        )


def page_in(path: Path, report: Report, free: int | None) -> None:
    """Read the file once, so that its pages are in memory when llama.cpp maps it, and tell the progress.

    llama.cpp holds the interpreter's lock while it loads: this is the part of a cold start that can be watched.
    """
    size = path.stat().st_size
    if free is not None and size > free * PAGE_IN_SHARE:
        return
    buffer = bytearray(min(PAGE_IN_BYTES, size))
    done = 0
    report.progress(0.0)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            done += count
            report.progress(min(done / size, 1.0))


def parameters(x: Any, boot: Boot, context_tokens: int) -> Any:
    """llama.cpp's parameters; `x` is the xllamacpp module. Everything that we do not need is off."""
    p = x.CommonParams()
    p.model.path = boot.model_path
    p.model_alias = {boot.alias}
    p.hostnames, p.port = [boot.socket], 0
    p.n_parallel, p.n_ctx = boot.parallel, context_tokens * boot.parallel
    p.fit_params = False  # it would lower the context on its own
    threads = boot.threads or default_threads(Path(boot.model_path).stat().st_size)
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
    p.use_jinja = True
    if boot.mmproj_path:
        p.mmproj.path = boot.mmproj_path
    if boot.chat_template:
        p.chat_template = boot.chat_template
    p.warmup = True
    if boot.embeddings:
        p.embedding = True
        p.n_batch = p.n_ubatch = context_tokens  # a text is read at once
        # With a cache for each slot, texts that are read side by side are cut apart and pooled from their last pieces.
        p.kv_unified = True
    elif not boot.mmproj_path and not on_gpu(x):  # a picture's tokens may have to fit into one batch
        p.n_batch = p.n_ubatch = CPU_BATCH_TOKENS
    p.n_threads_http = HTTP_THREADS
    p.verbosity = 1  # errors; one level up it warns at every request whose prompt is cached
    p.offline, p.ui, p.cors_origins = True, False, ""
    p.video_ffmpeg_bin_dir = NO_FOLDER
    p.endpoint_slots = p.endpoint_props = p.endpoint_metrics = False
    # Its default keeps up to 8 GiB of old prompts in memory; the slots' own caches stay.
    p.cache_ram_mib, p.cache_idle_slots = 0, False
    p.sse_ping_interval = SSE_PING_S
    return p


def on_gpu(x: Any) -> bool:
    """True where this build of llama.cpp computes on something faster than the processor."""
    return any(device["type"].name.endswith(("_GPU", "_IGPU")) for device in x.get_device_info())


def default_threads(file_bytes: int) -> int:
    """Threads for a file of that size: one where threads would mostly wait for each other, else what we may use."""
    if file_bytes <= SINGLE_THREAD_BYTES:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def start(boot: Boot, report: Report) -> tuple[Any, dict[str, Any]]:
    """Check, load and serve: the running server, which must be kept, and the facts of `ready`. Raises `BootError`."""
    began = time.monotonic()
    header = gguf_header.read(Path(boot.model_path))
    if boot.mmproj_path:
        gguf_header.read(Path(boot.mmproj_path), "vision projector (mmproj)")
    if boot.embeddings:
        check_pooling(header)
    context_tokens = context_of(boot, header)
    free = available_bytes()
    check_memory(header, context_tokens, boot.parallel, free)
    cpu.check()
    offline = isolation.cut_network()
    page_in(Path(boot.model_path), report, free)
    server = _load(boot, context_tokens)
    return server, {
        "context_tokens": context_tokens,
        "parallel": boot.parallel,
        "vision": boot.mmproj_path is not None,
        "load_s": round(time.monotonic() - began, 3),
        "network": not offline,
    }


def _load(boot: Boot, context_tokens: int) -> Any:
    """Import the engine and have it load and listen; its log's last errors become the failure's reason."""
    for name in [name for name in os.environ if name.startswith(ENGINE_VARIABLES)]:
        del os.environ[name]
    os.environ.setdefault("GOMP_SPINCOUNT", OPENMP_SPINS)  # read once, when the library is loaded
    try:
        import xllamacpp as x
    except ImportError as error:
        raise BootError(
            "engine_missing",
            f"llama.cpp is not installed ({error}). Install it: pip install 'minitoolai[llama]' (or: xllamacpp).",
        ) from error
    with contextlib.suppress(FileNotFoundError):
        os.unlink(boot.socket)
    os.umask(0o077)  # the socket is for this user alone
    with EngineLog() as log:
        try:
            return x.Server(parameters(x, boot, context_tokens))
        except MemoryError as error:
            raise BootError("out_of_memory", "The machine has too little memory for this model.") from error
        except (RuntimeError, ValueError) as error:
            raise log.failure(str(error)) from error


def main() -> None:
    """Be the child."""
    live("minitoolai.children.llama", Boot, start)


if __name__ == "__main__":
    main()
