"""The benchmark starts, loads and stops the product; its sums are right. No figure is judged here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import Point, Result
from benchmarks.processes import core_busy_s, spent, tree
from benchmarks.report import HEADER, ratios, row

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc") or not shutil.which("taskset"), reason="needs Linux, cc, taskset"
)


def _result(gateway: str, per_s: float, gateway_us: float) -> Result:
    return Result(
        gateway=gateway, label="json c1", at="", per_s=per_s, p50_ms=1.0, p99_ms=2.0, first_p50_ms=1.0,
        event_p50_ms=None, event_p99_ms=None, bad=0, first_bad="", gateway_us=gateway_us, database_us=None,
        gateway_cores=1.0, other=0.0, rss_mb=50.0, peak_mb=60.0,
    )  # fmt: skip


def test_labels_name_the_load() -> None:
    """A point is called by its kind and its connections."""
    assert [Point(1).label, Point(32, stream=True).label, Point(100, stream=True, slow=True).label] == [
        "json c1",
        "sse c32",
        "slow c100",
    ]


def test_ratios_are_ours_by_theirs() -> None:
    """Rates and CPU are divided point by point; a row is as wide as the header."""
    mine, theirs = _result("ours", 50.0, 200.0), _result("nginx", 100.0, 20.0)
    (line,) = ratios([mine, theirs])
    assert "× 0.500" in line
    assert "× 10.00" in line
    assert len(row(mine)) == len(HEADER)


def test_usage_of_this_process_is_seen() -> None:
    """CPU and memory of a process that surely runs are not zero."""
    me = spent(tree(os.getpid())[:1])
    assert me.cpu_s > 0
    assert me.peak_mb >= me.rss_mb > 1
    assert core_busy_s(0) > 0


@pytest.mark.long
def test_a_short_run_loads_the_product() -> None:
    """`benchmarks/run` measures the product, says so in its table, and every call ends well."""
    done = subprocess.run(
        [str(ROOT / "benchmarks" / "run"), "--only", "json,sse", "--seconds", "1", "--connections", "4", "--peers", ""],
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ours +json c4 +\d", done.stdout, re.MULTILINE)
    assert re.search(r"^ours +sse c4 +\d", done.stdout, re.MULTILINE)
