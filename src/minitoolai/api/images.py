"""`POST /v1/images/generations`, as OpenAI's, over the same jobs as the seed's (docs/reference/pictures.md)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from base64 import b64encode
from dataclasses import replace
from typing import Any

import msgspec

from minitoolai.api.account import Accounts
from minitoolai.api.bodies import decode_object
from minitoolai.api.file_links import FileLinks
from minitoolai.api.paid import cost_headers, max_cost_nusd, repeatable
from minitoolai.api.picture_bodies import images_call, picture_call
from minitoolai.api.quotes import Quoter
from minitoolai.core.access import Principal
from minitoolai.core.errors import DatabaseUnavailable
from minitoolai.core.jobs import JobView
from minitoolai.core.money import NUSD_PER_USD
from minitoolai.core.picture_errors import FileGone, StorageUnavailable
from minitoolai.core.quotes import Quote
from minitoolai.core.records import CallFacts
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import REPLAYED, Exchange, Headers
from minitoolai.services.access import Access
from minitoolai.services.drawing import Drawing, Drawn
from minitoolai.services.job_ports import Blobs, Files
from minitoolai.services.picture_jobs import PictureJobs

#: Times that a file is asked for which has just been stored, and the pause between two, in seconds.
READ_TRIES, READ_PAUSE_S = 4, 1.0

#: What OpenAI's clients read of a call's tokens: pictures are priced by the picture.
_NO_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}

_encode = msgspec.json.Encoder().encode


class Pictures:
    """Gives finished pictures as OpenAI's data: by their link, or in base64."""

    def __init__(self, files: Files, blobs: Blobs, links: FileLinks) -> None:
        self._files = files
        self._blobs = blobs
        self._links = links

    async def shown(self, exchange: Exchange, job: JobView, *, in_base64: bool) -> dict[str, Any]:
        """Return a picture. Raises `FileGone`, `StorageUnavailable`, `DatabaseUnavailable`."""
        seed = job.result.get("seed")
        if not in_base64:
            return {"url": self._links.of(exchange, job), "seed": seed}
        file = await self._files.file(job.id)
        data = None if file is None else await self._read(file.name)
        if data is None:
            raise FileGone()
        return {"b64_json": (await asyncio.to_thread(b64encode, data)).decode(), "seed": seed}

    async def _read(self, name: str) -> bytes | None:
        """Return a file; what is paid is worth some tries. Raises `StorageUnavailable`."""
        for _ in range(READ_TRIES - 1):
            with contextlib.suppress(StorageUnavailable):
                return await self._blobs.get(name)
            await asyncio.sleep(READ_PAUSE_S)
        return await self._blobs.get(name)


def add_images(
    routes: Routes,
    access: Access,
    jobs: PictureJobs,
    drawing: Drawing,
    pictures: Pictures,
    accounts: Accounts,
    *,
    max_body_bytes: int,
) -> None:
    """Add the route."""

    async def answer(exchange: Exchange) -> None:
        principal = await exchange.principal(access)
        raw = await exchange.json_body(max_body_bytes)
        call, in_base64, ignored = images_call(decode_object(raw), jobs.new_seed)
        call = replace(call, max_cost_nusd=max_cost_nusd(exchange), repeatable=repeatable(exchange, raw))
        drawn = await drawing.draw(principal, exchange.call_id, call, exchange.facts)
        data = [await pictures.shown(exchange, job, in_base64=in_base64) for job in drawn.jobs]
        headers: Headers = [(b"x-minitoolai-ignored", ignored.encode())] if ignored else []
        headers += cost_headers(drawn.cost_nusd, await balance(principal, drawn), drawn.rates)
        if drawn.replayed:
            headers.append(REPLAYED)
        usage = {**_NO_TOKENS, "cost": drawn.cost_nusd / NUSD_PER_USD}
        await exchange.reply(200, _encode({"created": int(time.time()), "data": data, "usage": usage}), headers)

    async def balance(principal: Principal, drawn: Drawn) -> int | None:
        """Return the balance after the call; None where it is an earlier one's reply, or cannot be looked up."""
        try:
            return None if drawn.replayed else (await accounts.show_by_id(principal.account_id)).balance
        except DatabaseUnavailable:
            return None

    routes.add("POST", "/v1/images/generations", answer)


def pictures_quoter(jobs: PictureJobs) -> Quoter:
    """Return what quotes the bodies of `POST /api/texttoimage/` and `POST /v1/images/generations`."""

    async def quote(principal: Principal, fields: dict[str, Any], _body_bytes: int, facts: CallFacts) -> Quote:
        return jobs.quote(principal, picture_call(fields, jobs.new_seed), facts)

    return quote
