"""The benchmark of pictures draws here and by the product; its sums are right. No figure is judged here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.picture_loop import HEADER, Clock, Drawn, row
from benchmarks.pictures import middle_and_p99, per_minute
from benchmarks.product import Times
from tests.support.databases import open_folder

ROOT = Path(__file__).parents[2]


def test_the_time_of_a_picture_is_split() -> None:
    """What lies between the texts and the decoder and is not the UNet is the loop; what is left is size and PNG."""
    clock = Clock()
    clock.spans = {"encode": [(1.0, 2.0)], "unet": [(2.5, 4.5), (5.0, 7.0)], "decode": [(7.5, 9.5)]}
    drawn = clock.drawn(0.5, 10.0)
    assert drawn == Drawn(encode_s=1.0, unet_s=4.0, unet_calls=2, loop_s=1.5, decode_s=2.0, rest_s=1.0)
    assert drawn.loop_share == 0.375
    assert clock.spans == {}


def test_rows_are_as_wide_as_the_header() -> None:
    """Each figure stands under its name."""
    drawn = Drawn(encode_s=0.001, unet_s=0.1234, unet_calls=7, loop_s=0.0012, decode_s=0.0456, rest_s=0.05)
    line = row(1024, 256, [drawn] * 3)
    assert len(line) == len(HEADER)
    assert line.split()[-7:] == ["1.0", "123.4", "7", "1.20", "0.97%", "45.6", "50.0"]


def test_times_and_rates_are_summed_up() -> None:
    """Pictures a minute count from the first one's beginning to the last one's end, in whatever order they ended."""
    assert middle_and_p99([number / 1000 for number in range(100, 0, -1)]) == (50.5, 100)
    assert per_minute([Times(0, 10, 22), Times(0, 22, 40), Times(0, 11, 25)]) == 6


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the conditions are read from /proc")
def test_a_short_run_measures_all() -> None:
    """`python -m benchmarks.pictures` prints every figure and leaves nothing running."""
    with open_folder() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.pictures", "--here", "1", "--starts", "2", "--pictures", "2",
             "--data", str(folder)],
            cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"}, capture_output=True, text=True, timeout=240,
            check=False,
        )  # fmt: skip
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^\d+ x \d+.* [\d.]+%", done.stdout, re.MULTILINE)) == 2
    assert len(re.findall(r"p50 +[\d.]+ ms +p99 +[\d.]+ ms +of 2$", done.stdout, re.MULTILINE)) == 3
    assert re.search(r"^1024 x 1024, 4 steps: [\d.]+ pictures a minute", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^MB in memory.* child that draws [1-9]", done.stdout, re.MULTILINE)) == 2
    assert str(folder) not in running
