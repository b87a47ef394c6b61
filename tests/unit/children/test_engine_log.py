"""llama.cpp's log becomes the reason of a failure."""

from __future__ import annotations

from minitoolai.children.engine_log import failure


def test_errors_become_the_reason() -> None:
    """Only errors, without their time stamps."""
    log = "0.00.1 I srv init: loading\n0.00.2 E llama_model_load: unknown model architecture: 'zzz'\n"
    error = failure("Failed to init server.", log)
    assert error.code == "model_invalid"
    assert "unknown model architecture: 'zzz'" in str(error)
    assert "loading)" not in str(error)


def test_lack_of_memory_is_told_apart() -> None:
    """By ggml's words."""
    log = "0.1 E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 99\n"
    assert failure("x", log).code == "out_of_memory"


def test_an_empty_log_still_gives_a_message() -> None:
    """A later wheel may hide the log's functions."""
    assert "Failed to init server." in str(failure("Failed to init server.", ""))
