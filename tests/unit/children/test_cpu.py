"""The processor is asked before native code finds out."""

from __future__ import annotations

from minitoolai.children import cpu

MODERN = "processor\t: 0\nflags\t\t: fpu sse sse2 pni ssse3 fma avx f16c avx2 bmi1 bmi2\n"


def test_a_modern_processor_lacks_nothing() -> None:
    """Every flag that the wheel needs is found in the text of /proc/cpuinfo."""
    assert cpu.missing("x86_64", cpu.flags_of(MODERN)) == []


def test_an_old_processor_is_named_by_what_it_lacks() -> None:
    """Sorted, so that the message is the same each time."""
    assert cpu.missing("x86_64", cpu.flags_of(MODERN.replace(" avx2", "").replace(" fma", ""))) == ["avx2", "fma"]


def test_arm_and_unknown_processors_are_tried() -> None:
    """Arm needs nothing beyond its baseline; where no flags are listed we do not refuse."""
    assert cpu.missing("aarch64", frozenset({"fp"})) == []
    assert cpu.missing("x86_64", cpu.flags_of("processor : 0\n")) == []
