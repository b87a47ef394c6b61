"""What is told of a job, by its state: the seed's fields, in the seed's order."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from minitoolai.core.job_replies import created_body, job_body
from minitoolai.core.jobs import JobKind, JobState, JobView, StoredFile

URL = "https://a.example/files/1.png"
JOB = JobView(
    1, UUID(int=1), 1000, JobKind.PICTURE, JobState.QUEUED, "m", 0.0, 3, None, 0, {}, datetime(2026, 11, 25, tzinfo=UTC),
    None,
)  # fmt: skip


SOUND_URL = "https://a.example/files/1.mp3"


def told(**changes: Any) -> str:
    """Return the body about a changed job as text, for the order of its fields."""
    return json.dumps(job_body(msgspec.structs.replace(JOB, **changes), URL))


def test_a_new_job() -> None:
    """Three fields, as the seed's sample has them."""
    assert json.dumps(created_body(12345678, "abcxyz123")) == (
        '{"status": "success", "jobid": 12345678, "signature": "abcxyz123"}'
    )


def test_before_the_end() -> None:
    """How far it is, and how many come first; no link."""
    assert told() == ('{"status": "processing", "image_url": null, "message": "queued", "progress": 0.0, "position": 3}')
    assert told(state=JobState.RUNNING, progress=0.3333333432674408, position=None) == (
        '{"status": "processing", "image_url": null, "message": "running", "progress": 0.333, "position": 0}'
    )


def test_done() -> None:
    """The link, the seed that was used, the exact cost."""
    assert told(state=JobState.SUCCEEDED, cost_nusd=1_500_000, result={"seed": 7}) == (
        f'{{"status": "success", "image_url": "{URL}", "message": "success", "seed": 7, "cost": "0.0015"}}'
    )
    assert job_body(msgspec.structs.replace(JOB, state=JobState.SUCCEEDED), None)["image_url"] is None


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_in_vain(state: JobState) -> None:
    """Why; where nobody said so, that it costs nothing."""
    assert told(state=state, message="why") == '{"status": "error", "image_url": null, "message": "why"}'
    assert "Nothing was charged" in told(state=state)


@pytest.mark.parametrize("state", JobState)
def test_speech_is_told_of_in_the_same_way(state: JobState) -> None:
    """By `audio_url` in place of `image_url`; once done by its characters in place of a seed."""
    job = msgspec.structs.replace(
        JOB, kind=JobKind.SPEECH, state=state, characters=52_000, cost_nusd=52_000_000, message="why", progress=0.42
    )
    body = job_body(job, SOUND_URL)
    if state is JobState.SUCCEEDED:
        expected = {"status": "success", "audio_url": SOUND_URL, "message": "success", "characters": 52_000, "cost": "0.052"}
    elif state in (JobState.FAILED, JobState.CANCELLED):
        expected = {"status": "error", "audio_url": None, "message": "why"}
    else:
        expected = {"status": "processing", "audio_url": None, "message": state.value, "progress": 0.42, "position": 3}
    assert list(body.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("name", "extension"), [("speech/2026-11-25/1-1.mp3", "mp3"), ("a/b", ""), (None, ""), ("a.b/c.png", "png")]
)
def test_a_link_ends_as_the_file_does(name: str | None, extension: str) -> None:
    """Of a job without a file there is nothing to say."""
    assert msgspec.structs.replace(JOB, file=name).extension == extension
    if name is not None:
        assert StoredFile(name, 1).extension == extension
