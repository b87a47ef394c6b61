"""What this machine's processor can do, asked before native code finds out by dying of SIGILL.

The wheels of `xllamacpp` are compiled for x86-64 with AVX2 and its usual company and have no fallback; on Arm they
need nothing beyond the 64-bit baseline.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from minitoolai.children.report import BootError

#: As `xllamacpp.get_system_info()` of the x86-64 wheel names them (2026.10: SSE3 SSSE3 AVX AVX2 F16C FMA BMI2).
NEEDED_X86 = frozenset({"ssse3", "avx", "avx2", "f16c", "fma", "bmi2"})


def flags_of(cpuinfo: str) -> frozenset[str]:
    """The processor's flags out of the text of /proc/cpuinfo; empty when it lists none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def _mac_flags() -> frozenset[str]:
    """The same flags of an Intel Mac, by sysctl; empty when it does not answer."""
    names = ["machdep.cpu.features", "machdep.cpu.leaf7_features"]
    try:
        answer = subprocess.run(  # noqa: S603 (a fixed command)
            ["/usr/sbin/sysctl", "-n", *names], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(answer.stdout.lower().replace("avx1.0", "avx").split())


def missing(machine: str, flags: frozenset[str]) -> list[str]:
    """What the wheel needs and `flags` lack, sorted; nothing where flags are unknown: better try than refuse."""
    if machine.lower() not in {"x86_64", "amd64"} or not flags:
        return []
    return sorted(NEEDED_X86 - flags)


def lacking() -> list[str]:
    """What this machine's processor lacks."""
    if sys.platform == "darwin":
        flags = _mac_flags()
    else:
        cpuinfo = Path("/proc/cpuinfo")
        flags = flags_of(cpuinfo.read_text()) if cpuinfo.exists() else frozenset()
    return missing(platform.machine(), flags)


def check() -> None:
    """Raise `BootError` (`cpu_unsupported`) on a processor that the wheel would crash on."""
    missed = lacking()
    if missed:
        raise BootError(
            "cpu_unsupported",
            f"This processor lacks {', '.join(missed).upper()}, which the llama.cpp wheel is compiled for. "
            "Use a machine from 2014 or later (in a virtual machine: pass the host's CPU through), build xllamacpp "
            "from source on this machine, or serve the model elsewhere and add it as an engine of kind 'openai'.",
        )
