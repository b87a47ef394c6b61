"""What is told of a job: the body of a reply about it, and of the message to its webhook (docs/reference/pictures.md,
docs/reference/speech.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minitoolai.core.jobs import ENDED, JobKind, JobState, JobView
from minitoolai.core.money import format_usd

#: Where each kind of job says where what it made is.
URL_FIELDS: Mapping[JobKind, str] = {JobKind.PICTURE: "image_url", JobKind.SPEECH: "audio_url"}
#: Where a job failed and nobody said why.
_NO_REASON = "It failed. Nothing was charged; send it again."


def created_body(job_id: int, signature: str) -> dict[str, Any]:
    """Return what the caller who made a job is told, in the seed's shape."""
    return {"status": "success", "jobid": job_id, "signature": signature}


def job_body(job: JobView, url: str | None) -> dict[str, Any]:
    """Return how a job stands, in the seed's shape; `url`: where what it made is, told once that is there."""
    where = URL_FIELDS[job.kind]
    if job.state is JobState.SUCCEEDED:
        picture = job.kind is JobKind.PICTURE
        facts = {"seed": job.result.get("seed")} if picture else {"characters": job.characters}
        return {"status": "success", where: url, "message": "success", **facts, "cost": format_usd(job.cost_nusd)}
    if job.state in ENDED:
        return {"status": "error", where: None, "message": job.message or _NO_REASON}
    return {
        "status": "processing",
        where: None,
        "message": job.state.value,
        "progress": round(job.progress, 3),
        "position": job.position or 0,
    }
