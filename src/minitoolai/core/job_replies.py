"""What is told of a job: the body of a reply about it, and of the message to its webhook (docs/reference/pictures.md)."""

from __future__ import annotations

from typing import Any

from minitoolai.core.jobs import ENDED, JobState, JobView
from minitoolai.core.money import format_usd

#: Where a job failed and nobody said why.
_NO_REASON = "It failed. Nothing was charged; send it again."


def created_body(job_id: int, signature: str) -> dict[str, Any]:
    """Return what the caller who made a job is told, in the seed's shape."""
    return {"status": "success", "jobid": job_id, "signature": signature}


def job_body(job: JobView, image_url: str | None) -> dict[str, Any]:
    """Return how a job stands, in the seed's shape; `image_url`: where its picture is, told once it is drawn."""
    if job.state is JobState.SUCCEEDED:
        told = {"status": "success", "image_url": image_url, "message": "success"}
        return {**told, "seed": job.result.get("seed"), "cost": format_usd(job.cost_nusd)}
    if job.state in ENDED:
        return {"status": "error", "image_url": None, "message": job.message or _NO_REASON}
    return {
        "status": "processing",
        "image_url": None,
        "message": job.state.value,
        "progress": round(job.progress, 3),
        "position": job.position or 0,
    }
