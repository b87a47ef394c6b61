"""Links to what jobs made: each to its own file, in its own format."""

from __future__ import annotations

import pytest

from minitoolai.api.file_links import FileLinks
from minitoolai.api.files import file_path
from minitoolai.core.jobs import JobState, StoredFile
from minitoolai.core.speech import FORMATS, MEDIA_TYPES, AudioFormat
from tests.support.clients import shows
from tests.support.told_jobs import ended_job
from tests.unit.api.file_room import DATA, JOB_ID, KEY, NOW_S, SIZE, Room


@pytest.mark.parametrize("sound_format", FORMATS)
async def test_a_link_gives_speech(sound_format: AudioFormat) -> None:
    """In each format as what it is, whole and in part, as players ask for it; by no other ending than its own."""
    room = Room()
    blob = f"speech/2026-11-25/{JOB_ID}-1.{sound_format}"
    room.blobs.files[blob], room.files.kept[JOB_ID] = DATA, StoredFile(blob, SIZE)
    path = file_path(KEY, JOB_ID, sound_format, NOW_S)
    reply = await room.ask(path)
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, MEDIA_TYPES[sound_format], DATA)
    assert reply.headers["content-disposition"] == f'inline; filename="{JOB_ID}.{sound_format}"'
    reply = await room.ask(path, range="bytes=10-19")
    assert (reply.status, reply.headers["content-type"], reply.body) == (206, MEDIA_TYPES[sound_format], DATA[10:20])
    for other in {"png", "mp3", "wav"} - {sound_format}:
        refused = await room.ask(file_path(KEY, JOB_ID, other, NOW_S))
        shows(refused, 404, "not_found", "invalid_request_error", "expired", "Ask for the job again")


def test_links_where_no_request_says_how_this_server_is_found() -> None:
    """By its public URL; none without one, and none of a job that has no file."""
    job = ended_job(job_id=JOB_ID)
    links = FileLinks(KEY, "https://ai.example/", clock=lambda: NOW_S + 0.9)
    assert links.public(job) == f"https://ai.example{file_path(KEY, JOB_ID, 'png', NOW_S)}"
    assert links.public(ended_job(JobState.FAILED, job_id=JOB_ID)) is None
    assert FileLinks(KEY).public(job) is None
