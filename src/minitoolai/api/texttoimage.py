"""The seed's pictures: `POST /api/texttoimage/`, its jobs, and their end (docs/reference/pictures.md)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any

import msgspec

from minitoolai.api.bodies import checked, decode_object
from minitoolai.api.paid import max_cost_nusd, repeatable
from minitoolai.api.picture_bodies import text_to_image_call
from minitoolai.api.picture_links import PictureLinks
from minitoolai.core.errors import ApiError
from minitoolai.core.job_replies import job_body
from minitoolai.core.jobs import MAX_JOB_ID, JobState, JobView
from minitoolai.core.picture_errors import JobNotFound
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import REPLAYED, Exchange, Headers
from minitoolai.edge.statuses import rate_headers
from minitoolai.services.access import Access
from minitoolai.services.picture_jobs import PictureJobs

PATH = "/api/texttoimage"
JOBS = f"{PATH}/jobs"
#: Seconds that a question about a job may wait for its end: below what proxies give a reply.
MAX_WAIT_S = 60.0
#: Bytes of a question about a job at most; it takes no key.
MAX_JOB_BODY_BYTES = 16 * 1024

JobId = Annotated[int, msgspec.Meta(ge=0, le=MAX_JOB_ID)] | Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,16}(?!\n)$")]
Signature = Annotated[str, msgspec.Meta(max_length=200)]
_INSTEAD = {
    "jobid": "Send the jobid of the reply that made the job, as a number or as text.",
    "signature": "Send the signature of the reply that made the job.",
    "wait": f"Send a number of seconds from 0 to {MAX_WAIT_S:g}.",
}

_encode = msgspec.json.Encoder().encode


class JobBody(msgspec.Struct):
    """The body of `POST /api/texttoimage/jobs/`."""

    jobid: JobId
    signature: Signature
    #: Seconds to wait for the job's end.
    wait: Annotated[float, msgspec.Meta(ge=0, le=MAX_WAIT_S)] | None = None


class CancelBody(msgspec.Struct):
    """The body of `POST /api/texttoimage/jobs/cancel/`: the signature, or a key of the job's account."""

    jobid: JobId
    signature: Signature | None = None


def add_texttoimage(routes: Routes, access: Access, jobs: PictureJobs, links: PictureLinks, *, max_body_bytes: int) -> None:
    """Add the routes."""

    async def create(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(max_body_bytes)
        call, ignored = text_to_image_call(decode_object(raw), jobs.new_seed)
        call = replace(call, max_cost_nusd=max_cost_nusd(exchange), repeatable=repeatable(exchange, raw))
        made = await jobs.create(principal, exchange.call_id, call, exchange.facts)
        headers: Headers = [(b"x-minitoolai-ignored", ignored.encode())] if ignored else []
        headers += rate_headers(made.rates)
        if made.replayed:
            headers.append(REPLAYED)
        await exchange.reply(200, made.reply, headers)

    async def ask(exchange: Exchange) -> None:
        body = checked(await _fields(exchange), JobBody, integers=("jobid",), instead=_INSTEAD)
        await _tell(exchange, links, await jobs.ask(int(body.jobid), body.signature, body.wait or 0.0))

    async def cancel(exchange: Exchange) -> None:
        body = checked(await _fields(exchange), CancelBody, integers=("jobid",), instead=_INSTEAD)
        job_id = int(body.jobid)
        if body.signature is None:
            job = await jobs.owned(await exchange.principal(access), job_id)
        else:
            job = await jobs.ask(job_id, body.signature)
        await _tell(exchange, links, await jobs.cancel(job))

    endpoints: dict[str, Callable[[Exchange], Awaitable[None]]] = {PATH: create, JOBS: ask, f"{JOBS}/cancel": cancel}
    for path, endpoint in endpoints.items():
        routes.add("POST", path, endpoint)
    routes.before[PATH] = _speak_of_creation
    routes.before[JOBS] = routes.before[f"{JOBS}/"] = _speak_of_jobs


async def _fields(exchange: Exchange) -> dict[str, Any]:
    return decode_object(await exchange.json_body(MAX_JOB_BODY_BYTES))


async def _tell(exchange: Exchange, links: PictureLinks, job: JobView) -> None:
    exchange.facts.model = job.model
    url = links.of(exchange, job.id) if job.state is JobState.SUCCEEDED else None
    await exchange.reply(200, _encode(job_body(job, url)), [(b"cache-control", b"no-store")])


def _speak_of_creation(exchange: Exchange) -> None:
    """Let errors have the shape of the seed's reply to a new job."""
    exchange.error_shape = _creation_error


def _speak_of_jobs(exchange: Exchange) -> None:
    """Let errors have the shape of the seed's reply about a job."""
    exchange.error_shape = _job_error


def _creation_error(error: ApiError) -> bytes:
    told = {"status": "error", "jobid": None, "signature": None, "message": error.message}
    return _encode({**told, **error.shown()})


def _job_error(error: ApiError) -> bytes:
    told = {"status": "error", "image_url": None, "message": error.message}
    return _encode(told if isinstance(error, JobNotFound) else {**told, **error.shown()})
