"""What is known of engines that are children: one file, written by whoever learns something."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from minitoolai.runtime.children import EngineStates


def test_engines_that_are_prepared_side_by_side_are_all_noted(tmp_path: Path) -> None:
    """Children are prepared in threads: what one notes at the same moment as another is neither lost nor refused."""
    states = EngineStates(tmp_path / "engines.json")
    names = [f"engine-{number}" for number in range(8)]

    def note(name: str) -> None:
        for _ in range(50):
            states.note(name, "starting")
        states.note(name, "ready", parallel=4)

    with ThreadPoolExecutor(len(names)) as threads:
        for done in [threads.submit(note, name) for name in names]:
            done.result()
    assert json.loads(states.file.read_text()) == {name: {"state": "ready", "parallel": 4} for name in names}
