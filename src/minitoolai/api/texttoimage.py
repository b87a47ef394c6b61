"""The seed's pictures: `POST /api/texttoimage/`, which makes a job (docs/reference/pictures.md)."""

from __future__ import annotations

from dataclasses import replace

from minitoolai.api.bodies import decode_object
from minitoolai.api.job_routes import PATHS, creation_error, tell_made
from minitoolai.api.paid import max_cost_nusd, repeatable
from minitoolai.api.picture_bodies import text_to_image_call
from minitoolai.core.jobs import JobKind
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.services.access import Access
from minitoolai.services.picture_jobs import PictureJobs

PATH = PATHS[JobKind.PICTURE]


def add_texttoimage(routes: Routes, access: Access, jobs: PictureJobs, *, max_body_bytes: int) -> None:
    """Add the route."""

    async def create(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(max_body_bytes)
        call, ignored = text_to_image_call(decode_object(raw), jobs.new_seed)
        call = replace(call, max_cost_nusd=max_cost_nusd(exchange), repeatable=repeatable(exchange, raw))
        await tell_made(exchange, await jobs.create(principal, exchange.call_id, call, exchange.facts), ignored)

    routes.add("POST", PATH, create)
    routes.before[PATH] = _speak_of_creation


def _speak_of_creation(exchange: Exchange) -> None:
    """Let errors have the shape of the seed's reply to a new job."""
    exchange.error_shape = creation_error
