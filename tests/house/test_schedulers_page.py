"""`schedulers.md` and the table of schedulers say the same."""

from __future__ import annotations

from minitoolai.core.pictures import DEFAULT_SCHEDULER
from minitoolai.core.samplers import PREDICTIONS, SCHEDULERS, scheduler
from minitoolai.core.samplers.table import Grid
from tests.house.documents import code_words, reference, rows, sections

#: How the page calls a grid.
GRIDS = {Grid.TRAILING: "trailing", Grid.KARRAS: "Karras", Grid.FAST: "fast"}


def test_every_scheduler_is_documented() -> None:
    """A row for exactly the names there are, in their order, with calls, levels, order and randomness of the code."""
    documented = [row[:5] for row in rows(sections(reference("schedulers.md"))["Schedulers"])]
    expected = []
    for name in SCHEDULERS:
        found = scheduler(name)
        calls = "n" if found.calls_a_step == 1 else "2n−1"
        expected.append([f"`{name}`", calls, GRIDS[found.grid], str(found.order), "yes" if found.random else "no"])
    assert documented == expected
    assert f"The default is\n`{DEFAULT_SCHEDULER}`" in reference("schedulers.md")


def test_every_level_and_kind_of_model_is_documented() -> None:
    """Each grid has its row, each `prediction_type` is named."""
    page = sections(reference("schedulers.md"))
    assert [row[0] for row in rows(page["Levels"])] == list(GRIDS.values())
    kinds = {row[0]: row[1] for row in rows(page["What a model must be"])}["`prediction_type`"]
    assert code_words(kinds) == list(PREDICTIONS)
