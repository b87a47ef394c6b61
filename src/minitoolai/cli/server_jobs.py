"""What commands share that have a running server do a job: they wait for it, and cancel it where they are stopped."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from minitoolai.cli.context import CommandFailed
from minitoolai.cli.running_server import refusal

#: The server answers a question about a job within its `wait`.
WAIT_S = 30


async def post(session: aiohttp.ClientSession, url: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """Return the server's answer. Raises `CommandFailed` where it refuses."""
    async with session.post(url, json=body, headers=headers) as reply:
        raw = await reply.read()
        if reply.status != 200:
            raise refusal(raw)
        found: dict[str, Any] = json.loads(raw)
        return found


async def done(session: aiohttp.ClientSession, jobs_url: str, made: dict[str, Any]) -> dict[str, Any]:
    """Wait for the job that was `made` and return how it stands then; stopped meanwhile, cancel it.

    Raises `CommandFailed` where it fails.
    """
    question = {"jobid": made["jobid"], "signature": made["signature"]}
    try:
        while True:
            job = await post(session, jobs_url, {**question, "wait": WAIT_S}, {})
            if job["status"] == "error":
                raise CommandFailed(job["message"])
            if job["status"] == "success":
                return job
    except asyncio.CancelledError:
        await post(session, f"{jobs_url}cancel/", question, {})
        raise
