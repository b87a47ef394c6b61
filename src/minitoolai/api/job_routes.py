"""The routes about jobs of every kind: how one stands, and its end (docs/reference/pictures.md and speech.md)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import msgspec

from minitoolai.api.bodies import checked, decode_object
from minitoolai.api.file_links import FileLinks
from minitoolai.core.errors import ApiError
from minitoolai.core.job_replies import URL_FIELDS, job_body
from minitoolai.core.jobs import MAX_JOB_ID, JobKind, JobState, JobView
from minitoolai.core.picture_errors import JobNotFound
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import REPLAYED, Exchange, Headers
from minitoolai.edge.statuses import rate_headers
from minitoolai.services.access import Access
from minitoolai.services.jobs import JobDesk, Made

#: Seconds that a question about a job may wait for its end: below what proxies give a reply.
MAX_WAIT_S = 60.0
#: Bytes of a question about a job at most; it takes no key.
MAX_JOB_BODY_BYTES = 16 * 1024

#: Where jobs are made; what is asked about them stands below.
PATHS: Mapping[JobKind, str] = {JobKind.PICTURE: "/api/texttoimage", JobKind.SPEECH: "/api/texttospeech"}

JobId = Annotated[int, msgspec.Meta(ge=0, le=MAX_JOB_ID)] | Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,16}(?!\n)$")]
Signature = Annotated[str, msgspec.Meta(max_length=200)]
_INSTEAD = {
    "jobid": "Send the jobid of the reply that made the job, as a number or as text.",
    "signature": "Send the signature of the reply that made the job.",
    "wait": f"Send a number of seconds from 0 to {MAX_WAIT_S:g}.",
}

_encode = msgspec.json.Encoder().encode


class JobBody(msgspec.Struct):
    """The body of a question about a job."""

    jobid: JobId
    signature: Signature
    #: Seconds to wait for the job's end.
    wait: Annotated[float, msgspec.Meta(ge=0, le=MAX_WAIT_S)] | None = None


class CancelBody(msgspec.Struct):
    """The body that ends a job: the signature, or a key of the job's account."""

    jobid: JobId
    signature: Signature | None = None


def add_job_routes(routes: Routes, access: Access, desk: JobDesk, links: FileLinks) -> None:
    """Add the routes about jobs of every kind."""
    for kind, path in PATHS.items():
        _add_of_kind(routes, access, desk, links, kind, path)


def _add_of_kind(routes: Routes, access: Access, desk: JobDesk, links: FileLinks, kind: JobKind, path: str) -> None:

    async def ask(exchange: Exchange) -> None:
        body = checked(await _fields(exchange), JobBody, integers=("jobid",), instead=_INSTEAD)
        await _tell(exchange, links, await desk.ask(kind, int(body.jobid), body.signature, body.wait or 0.0))

    async def cancel(exchange: Exchange) -> None:
        body = checked(await _fields(exchange), CancelBody, integers=("jobid",), instead=_INSTEAD)
        job_id = int(body.jobid)
        if body.signature is None:
            job = await desk.owned(await exchange.principal(access), kind, job_id)
        else:
            job = await desk.ask(kind, job_id, body.signature)
        await _tell(exchange, links, await desk.cancel(job))

    def speak_of_jobs(exchange: Exchange) -> None:
        exchange.error_shape = lambda error: _job_error(kind, error)

    jobs = f"{path}/jobs"
    endpoints: dict[str, Callable[[Exchange], Awaitable[None]]] = {jobs: ask, f"{jobs}/cancel": cancel}
    for each, endpoint in endpoints.items():
        routes.add("POST", each, endpoint)
    routes.before[jobs] = routes.before[f"{jobs}/"] = speak_of_jobs


async def tell_made(exchange: Exchange, made: Made, ignored: str) -> None:
    """Answer a call that made a job; `ignored`: its fields that mean nothing here."""
    headers: Headers = [(b"x-minitoolai-ignored", ignored.encode())] if ignored else []
    headers += rate_headers(made.rates)
    if made.replayed:
        headers.append(REPLAYED)
    await exchange.reply(200, made.reply, headers)


def creation_error(error: ApiError) -> bytes:
    """Return an error in the shape of the seed's reply to a new job."""
    told = {"status": "error", "jobid": None, "signature": None, "message": error.message}
    return _encode({**told, **error.shown()})


async def _fields(exchange: Exchange) -> dict[str, Any]:
    return decode_object(await exchange.json_body(MAX_JOB_BODY_BYTES))


async def _tell(exchange: Exchange, links: FileLinks, job: JobView) -> None:
    exchange.facts.model = job.model
    url = links.of(exchange, job) if job.state is JobState.SUCCEEDED else None
    await exchange.reply(200, _encode(job_body(job, url)), [(b"cache-control", b"no-store")])


def _job_error(kind: JobKind, error: ApiError) -> bytes:
    """Return an error in the shape of the seed's reply about a job."""
    told = {"status": "error", URL_FIELDS[kind]: None, "message": error.message}
    return _encode(told if isinstance(error, JobNotFound) else {**told, **error.shown()})
