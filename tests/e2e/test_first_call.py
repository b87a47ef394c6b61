"""A call through the whole product: the real server process, a faithful upstream, the balance afterwards."""

from __future__ import annotations

import json

import aiohttp

from tests.support.servers import ProductServer
from tests.support.upstream import Upstream

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What's the largest U.S. state by area?"}]}


async def test_a_streamed_call_is_charged_exactly(product: ProductServer, upstream: Upstream) -> None:
    """17 prompt and 9 completion tokens of gpt-4o-mini cost 0.00000795 USD."""
    product.use_upstream(upstream.url)
    product.start()
    headers = {"authorization": f"Bearer {product.make_key('1.00')}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{product.base}/api/chat-completions/", json=BODY, headers=headers) as reply,
    ):
        assert reply.status == 200
        events = [line[6:] for line in (await reply.text()).split("\n\n") if line]
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["usage"]["cost"] == 0.00000795
    assert product.json("account", "show", "test")["balance"] == "0.99999205"
    assert product.json("ledger", "verify")["ok"]
