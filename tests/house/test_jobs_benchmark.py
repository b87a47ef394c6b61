"""The benchmark of jobs runs over a database of its own; its sums are right. No figure is judged here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.jobs import HEADER, result
from tests.support.databases import open_folder

ROOT = Path(__file__).parents[2]


def test_results_are_summed_up() -> None:
    """Rate over the whole time, the middle and the ninety-ninth of a hundred; a row as wide as the header."""
    found = result("made", 2.0, [number / 1000 for number in range(100, 0, -1)])
    assert (found.per_s, found.times) == (50.0, 100)
    assert found.p50_ms == pytest.approx(50.5)
    assert found.p99_ms == pytest.approx(100)
    assert len(found.row()) == len(HEADER)
    assert result("once", 0.5, [0.25]).p99_ms == 250


def test_nothing_done_is_no_result() -> None:
    """A measurement in which nothing happened says so."""
    with pytest.raises(ValueError, match="made"):
        result("made", 1.0, [])


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the conditions are read from /proc")
def test_a_short_run_measures_every_kind() -> None:
    """`python -m benchmarks.jobs` starts a database, prints a row for each kind, and leaves nothing running."""
    with open_folder() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.jobs", "--seconds", "0.5", "--data", str(folder)],
            cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"}, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert list(folder.rglob("PG_VERSION"))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^(sent|made|claimed).* +\d+ +[\d.]+ +[\d.]+ +\d+$", done.stdout, re.MULTILINE)
    assert rows == ["sent", "made", "made", "made", "claimed", "claimed"]
    assert str(folder) not in running
