"""The benchmark of speech asks the child and the product; its sums are right. No figure is judged here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.speech import COSTS, HEADER, Result
from benchmarks.speech_callers import Call, percentile
from benchmarks.speech_neural import Clock, Spoken, line
from tests.support.databases import open_folder

ROOT = Path(__file__).parents[2]


class Network:
    """A network that answers what it is asked."""

    def run(self, asked: str) -> str:
        """Return it."""
        return asked


def test_shares_are_of_all_values() -> None:
    """Half, nearly all and all of a hundred values, in whatever order they came; none have no share."""
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 1.0)] == [51, 96, 100]
    with pytest.raises(ValueError, match="no call ended"):
        percentile([], 0.5)


def test_a_load_is_summed_up() -> None:
    """Rates are by the measured time, costs by all sound; the figures stand under their names."""
    calls = [Call(ended=1.0, first_s=0.0201, sound_s=10.0), Call(ended=2.0, first_s=0.0304, sound_s=20.0)]
    row = Result(20, "mp3", 2.0, calls, 0.1, dict.fromkeys(COSTS, 0.08), 40.0).row()
    assert row.split()[:8] == ["20", "mp3", "2", "30.4", "30.4", "30.4", "100.0", "15"]
    assert row.count("2.00") == len(COSTS)
    assert row.index(" gateway") == HEADER.index(" processor")


def test_what_is_beside_the_network_is_told() -> None:
    """The clock lets a network do its work and notes each run; a line has the network, the rest, and their relation."""
    clock = Clock()
    network = clock.around(Network)()
    assert [network.run("a"), network.run("b")] == ["a", "b"]
    assert len(clock.runs_s) == 2
    told = line("piper", [Spoken(whole_s=0.25, network_s=0.2, sound_s=4.0)] * 3)
    assert re.findall(r"[\d.]+", told) == ["4.00", "200.00", "50.00", "1.250", "3"]


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the conditions are read from /proc")
def test_a_short_run_measures_all() -> None:
    """`python -m benchmarks.speech` prints every figure and leaves nothing running."""
    with open_folder() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.speech", "--times", "2", "--callers", "1,3", "--seconds", "1",
             "--data", str(folder)],
            cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"}, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"real-time factor [\d.]+$", done.stdout, re.MULTILINE)) == 8 + 6
    assert re.search(r"behind a caller who left [\d.]+ ms", done.stdout)
    assert re.findall(r"^ +(\d+) (mp3|pcm) +[1-9]", done.stdout, re.MULTILINE) == [
        ("1", "mp3"), ("3", "mp3"), ("1", "pcm"), ("3", "pcm"),
    ]  # fmt: skip
    assert re.search(r"^a job of 100,000 characters, mp3: [\d.]+ s", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^MB in memory, RSS.* child [1-9]", done.stdout, re.MULTILINE)) == 3
    assert str(folder) not in running
