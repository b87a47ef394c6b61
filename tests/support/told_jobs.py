"""Jobs that have ended, as webhooks are told of them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from minitoolai.core.jobs import MIN_JOB_ID, JobKind, JobState, JobView

_AT = datetime(2026, 11, 25, tzinfo=UTC)


def ended_job(
    state: JobState = JobState.SUCCEEDED,
    *,
    job_id: int = MIN_JOB_ID,
    account_id: int = 7,
    kind: JobKind = JobKind.PICTURE,
) -> JobView:
    """Return a job of 0.0015 USD as it stands at its end."""
    done = state is JobState.SUCCEEDED
    picture = kind is JobKind.PICTURE
    cost, result = (1_500_000, {"seed": 7} if picture else {}) if done else (0, {})
    why = None if done else "why"
    return JobView(
        job_id, UUID(int=job_id), account_id, kind, state, "m", 1.0, None, why, cost, result, _AT, _AT,
        characters=0 if picture else 5000,
        file=f"x/2026-11-25/{job_id}-1.{'png' if picture else 'mp3'}" if done else None,
    )  # fmt: skip
