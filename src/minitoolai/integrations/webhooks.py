"""Messages to webhooks, sent by the way of `reach`: a POST to a URL that a caller named. Of the answer its status counts;
its body is not read, and a redirect is not followed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from yarl import URL

from minitoolai.core.webhooks import SEND_S
from minitoolai.integrations.reach import FAILURES, Reach, Way

#: Receivers listen on any port, in the open Internet; messages are signed, so that they may come by http as well.
RECEIVERS = Reach(ports=None, schemes=frozenset({"https", "http"}))

_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "MiniToolAI"}

log = logging.getLogger(__name__)


class Sender:
    """Sends messages (`services.job_ports.WebhookSender`)."""

    def __init__(self, reach: Reach = RECEIVERS) -> None:
        self._way = Way(reach)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int | None:
        """Send a message; return the status that was answered, None where there was no answer in time."""
        try:
            async with asyncio.timeout(SEND_S):
                address = URL(url)
                http = self._way.to(address)
                async with http.post(address, data=body, headers={**_HEADERS, **headers}, allow_redirects=False) as response:
                    return response.status
        except FAILURES as error:
            log.info("a webhook could not be reached: %s", type(error).__name__)
            return None

    async def close(self) -> None:
        """Close all connections."""
        await self._way.close()
