"""The law of jobs: what can happen in which state, and the picture of it."""

from __future__ import annotations

from minitoolai.core.jobs import ENDED, MAX_JOB_ID, TRANSITIONS, JobEvent, JobState, diagram


def test_jobs_end_in_three_ways() -> None:
    """Nothing happens to what has succeeded, failed or was cancelled; every other state can be left."""
    assert {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED} == ENDED
    assert {state for state, _ in TRANSITIONS} == set(JobState) - ENDED


def test_every_state_is_reached_and_can_end() -> None:
    """From the first one every state is reached, and from every state an end."""
    reached = {JobState.QUEUED}
    while more := {after for (state, _), after in TRANSITIONS.items() if state in reached} - reached:
        reached |= more
    assert reached == set(JobState)
    ending = set(ENDED)
    while more := {state for (state, _), after in TRANSITIONS.items() if after in ending} - ending:
        ending |= more
    assert ending == set(JobState)


def test_only_a_drawn_job_succeeds() -> None:
    """Success comes from running and by nothing but its picture; whatever has begun can be cancelled."""
    assert [pair for pair, after in TRANSITIONS.items() if after is JobState.SUCCEEDED] == [
        (JobState.RUNNING, JobEvent.COMPLETE)
    ]
    assert {state for (state, event) in TRANSITIONS if event is JobEvent.CANCEL} == set(JobState) - ENDED


def test_the_diagram_is_the_law() -> None:
    """It has a line for the beginning, one for each transition and one for each end, and no other."""
    lines = [line.strip() for line in diagram().splitlines()]
    assert lines[:2] == ["stateDiagram-v2", "[*] --> queued: create"]
    drawn = set(lines[2:])
    assert drawn == {f"{state} --> {after}: {event}" for (state, event), after in TRANSITIONS.items()} | {
        f"{state} --> [*]" for state in ENDED
    }
    assert len(lines) == len(drawn) + 2


def test_ids_are_exact_in_javascript() -> None:
    """The largest one is its largest safe integer."""
    assert int(float(MAX_JOB_ID)) == MAX_JOB_ID
    assert float(MAX_JOB_ID + 1) == float(MAX_JOB_ID + 2)
