"""Every 4xx of the contract's table that a caller makes, over real HTTP."""

from __future__ import annotations

import asyncio
import re

import pytest
import requests

from minitoolai.core.access import make_key
from minitoolai.edge import protocol
from tests.api.conftest import Serving
from tests.support.clients import BODY, OPENAI, Caller, exchange_bytes, parse_reply, shows
from tests.support.local_gateway import LocalGateway
from tests.support.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


# -- 401, 402, 403 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "why"),
    [
        ("", "There is no API key"),
        ("Bearer", "not of the form Bearer"),
        ("Basic dXNlcjpwYXNz", "not of the form Bearer"),
        ("Bearer sk-proj-something-of-openai", "not a key of this server"),
        ("Bearer " + make_key(b"x" * 32)[:-1] + "!", "not a key of this server"),
        ("Bearer " + make_key(b"x" * 32), "not known here"),
    ],
)
async def test_401_says_what_is_wrong_with_the_key(caller: Caller, authorization: str, why: str) -> None:
    """Missing, of another form, of another service, mistyped, unknown: on every path that wants a key."""
    for path, method in (
        ("/api/chat-completions/", "POST"), (OPENAI, "POST"), ("/v1/models", "GET"), ("/v1/models/gpt-4o", "GET"),
        ("/v1/balance", "GET"),
    ):  # fmt: skip
        body = BODY if method == "POST" else None
        reply = await caller.send(path, body, method=method, headers={"authorization": authorization})
        shows(reply, 401, "invalid_api_key", "authentication_error", why, "Authorization: Bearer sk-")


async def test_401_for_a_key_revoked_or_expired_a_moment_ago(gateway: LocalGateway, upstream: Upstream) -> None:
    """Although the gateway remembers keys: a revoked key never spends."""
    revoked, expired = await gateway.caller(), await gateway.caller()
    for caller, change, why in (
        (revoked, "revoked_at = now()", "revoked"),
        (expired, "expires_at = now() - interval '1 second'", "expired"),
    ):
        assert (await caller.openai()).status == 200
        await gateway.books.fetch(f"UPDATE keys SET {change} WHERE id = $1", caller.key_id)
        reply = await caller.openai()
        shows(reply, 401, "invalid_api_key", "authentication_error", why)
    assert len(upstream.asked) == 2


async def test_the_key_comes_before_everything_else(caller: Caller) -> None:
    """Neither the body nor the model is judged for somebody unknown."""
    for body in (b"no json", b"x" * (21 * 1024 * 1024)):
        reply = await caller.send(OPENAI, body, headers={"authorization": "Bearer sk-x", "content-type": "text/plain"})
        assert reply.status == 401


async def test_402_tells_what_is_needed_and_what_is_there(gateway: LocalGateway, upstream: Upstream) -> None:
    """The account's money, and the key's limit; a top-up or another key helps at once."""
    poor = await gateway.caller("0.0001")
    reply = await poor.openai(max_completion_tokens=1000)
    shows(reply, 402, "insufficient_credit", "insufficient_quota", "0.0001 USD are available", "Top up")
    needed = re.search(r"set aside ([0-9.]+) USD", reply.error["message"])
    assert needed is not None
    assert 0.0006 < float(needed[1]) < 0.00062
    limited = await gateway.caller("5", limit_usd="0.0001")
    reply = await limited.openai(max_completion_tokens=1000)
    shows(reply, 402, "insufficient_credit", "insufficient_quota", "this key may still spend 0.0001", "limit")
    empty = await gateway.caller("0")
    shows(await empty.seed(), 402, "insufficient_credit", "insufficient_quota", "0 USD are available")
    assert "retry-after" not in reply.headers
    assert upstream.asked == []


async def test_402_for_a_call_above_the_callers_own_cap(caller: Caller, upstream: Upstream) -> None:
    """`x-max-cost` refuses before anything is held; a cap that is no amount is the caller's mistake."""
    over = await caller.send(OPENAI, {**BODY, "max_completion_tokens": 1000}, headers={"x-max-cost": "0.0001"})
    shows(
        over,
        402,
        "insufficient_credit",
        "insufficient_quota",
        "0.0001 USD that x-max-cost allows",
        "Raise the cap",
        param="x-max-cost",
    )
    for cap in ("a lot", "-1", "1e-3", ""):
        reply = await caller.send(OPENAI, BODY, headers={"x-max-cost": cap})
        shows(reply, 400, "invalid_value", "invalid_request_error", "amount in USD", param="x-max-cost")
    assert upstream.asked == []
    assert (await caller.send(OPENAI, BODY, headers={"x-max-cost": "0.01"})).status == 200


async def test_403_for_a_model_that_the_key_may_not_use(gateway: LocalGateway, upstream: Upstream) -> None:
    """By the model's name and by its alias."""
    narrow = await gateway.caller(models=["gpt-4o"])
    for model in ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"):
        reply = await narrow.openai(model=model)
        shows(reply, 403, "permission_denied", "permission_error", "'gpt-4o-mini'", "another key", param="model")
    assert upstream.asked == []
    assert (await narrow.openai(model="gpt-4o-2024-08-06")).status == 200


async def test_403_for_a_suspended_account(gateway: LocalGateway, caller: Caller, upstream: Upstream) -> None:
    """Its key is right; the operator has to be asked."""
    await gateway.books.fetch("UPDATE accounts SET suspended_at = now() WHERE id = $1", caller.account_id)
    reply = await caller.openai()
    shows(reply, 403, "permission_denied", "permission_error", "suspended", "operator")
    assert upstream.asked == []


# -- 404, 405, 408, 413, 415, 431, and what is no HTTP ----------------------------------------------------------


async def test_404_for_paths_and_models(caller: Caller) -> None:
    """The path is shown back short and printable; of a model its name, and where the models are listed."""
    for path in ("/", "/v1", "/v1/chat/completions/extra", "/v1/chat//completions", "/favicon.ico", "/v1/completions"):
        shows(await caller.send(path, BODY), 404, "not_found", "invalid_request_error", "POST", "documentation")
    for path in ("/v1/v1/chat/completions", "/chat/completions", "/openai/v1/chat/completions", "/v1/chat/completions//"):
        shows(
            await caller.send(path, BODY), 404, "not_found", "invalid_request_error", "is /v1/chat/completions:", "base URL"
        )
    odd = await caller.get("/" + "a" * 5000 + "%0d%0a")
    shows(odd, 404, "not_found", "invalid_request_error", "GET /aaa")
    assert len(odd.error["message"]) < 300
    reply = await caller.openai(model="gpt-5000")
    shows(reply, 404, "model_not_found", "invalid_request_error", "'gpt-5000'", "GET /v1/models", param="model")
    reply = await caller.get("/v1/models/gpt-5000")
    shows(reply, 404, "model_not_found", "invalid_request_error", "'gpt-5000'", "GET /v1/models", param="model")
    reply = await caller.openai(model="{0.__class__}")
    shows(reply, 404, "model_not_found", "invalid_request_error", "'{0.__class__}'", param="model")


async def test_405_names_the_method_that_works(caller: Caller) -> None:
    """In the message and in `Allow`."""
    for method, path, allowed in (
        ("GET", OPENAI, "POST"), ("GET", "/api/chat-completions/", "POST"), ("DELETE", "/v1/models", "GET"),
        ("POST", "/v1/balance", "GET"), ("PUT", "/healthz", "GET"),
    ):  # fmt: skip
        reply = await caller.send(path, method=method)
        shows(reply, 405, "method_not_allowed", "invalid_request_error", method, f"Use {allowed}")
        assert reply.headers["allow"] == allowed


async def test_408_for_headers_and_bodies_that_do_not_come(
    caller: Caller, gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answered and closed; a connection on which nothing was asked is only closed."""
    monkeypatch.setattr(protocol, "HEADER_DEADLINE_S", 0.3)
    monkeypatch.setattr(protocol, "BODY_SILENCE_S", 0.3)
    whole = caller.request(OPENAI, BODY)
    for cut in (5, whole.index(b"\r\n\r\n") + 2, len(whole) - 10):
        reply = parse_reply(await exchange_bytes(gateway.port, whole[:cut]))
        shows(reply, 408, "request_timeout", "invalid_request_error", "Send it again")
        assert reply.headers["connection"] == "close"
    assert await exchange_bytes(gateway.port, b"") == b""


async def test_408_for_headers_that_trickle(caller: Caller, gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte at a time does not move the deadline."""
    monkeypatch.setattr(protocol, "HEADER_DEADLINE_S", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)

    async def trickle() -> None:
        for byte in caller.request(OPENAI, BODY):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    trickling = asyncio.create_task(trickle())
    async with asyncio.timeout(10):
        raw = await reader.read()
    trickling.cancel()
    await asyncio.gather(trickling, return_exceptions=True)
    writer.close()
    shows(parse_reply(raw), 408, "request_timeout", "invalid_request_error")


@pytest.mark.parametrize("chunked", [False, True])
async def test_413_names_the_limit(serving: Serving, upstream: Upstream, chunked: bool) -> None:
    """By the length that was announced, and by what comes without one."""
    async with serving(server={"max_body_bytes": 2048}) as gateway:
        caller = await gateway.caller()
        head, _, _ = caller.request(OPENAI, b"").partition(b"\r\n\r\n")
        if chunked:
            head = head.replace(b"content-length: 0", b"transfer-encoding: chunked")
            raw = head + b"\r\nconnection: close\r\n\r\n" + (b"400\r\n" + b" " * 1024 + b"\r\n") * 3 + b"0\r\n\r\n"
        else:
            raw = (
                head.replace(b"content-length: 0", b"content-length: 3000\r\nconnection: close") + b"\r\n\r\n" + b" " * 3000
            )
        reply = parse_reply(await exchange_bytes(gateway.port, raw))
        shows(reply, 413, "request_too_large", "invalid_request_error", "2048 bytes", "Shorten")
        assert (await caller.openai()).status == 200
    assert len(upstream.asked) == 1


async def test_413_reaches_a_program_that_sends_it_all_first(caller: Caller) -> None:
    """`requests` and PHP send the whole body before they read: the answer must not be lost in a reset."""
    body = b" " * (30 * 1024 * 1024)
    for _ in range(3):
        reply = await asyncio.to_thread(
            requests.post, caller.base + OPENAI, data=body, headers=caller.authorization, timeout=60
        )
        assert reply.status_code == 413
        assert reply.json()["error"]["code"] == "request_too_large"


async def test_415_names_what_was_sent(caller: Caller) -> None:
    """A form or a file is not JSON; what is shown back is plain."""
    for media in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
        reply = await caller.send(OPENAI, BODY, headers={"content-type": media})
        shows(reply, 415, "unsupported_media_type", "invalid_request_error", media.partition(";")[0], "application/json")
    reply = await caller.send(OPENAI, BODY, headers={"content-type": '<script>"{why}"' + "x" * 300})
    shows(reply, 415, "unsupported_media_type", "invalid_request_error", "scriptwhyxxx")
    assert len(reply.error["message"]) < 200


@pytest.mark.parametrize("shape", ["one long", "many", "a long path", "endless"])
async def test_431_for_headers_that_are_too_large(caller: Caller, gateway: LocalGateway, shape: str) -> None:
    """32 KiB in all, however they are made up, before an end of them has come."""
    path, more = OPENAI, []
    if shape == "a long path":
        path += "?" + "a" * 40_000
    elif shape == "many":
        more = [f"x-{number}: {'v' * 100}" for number in range(400)]
    else:
        more = ["x-long: " + "v" * 40_000]
    raw = caller.request(path, BODY, *more)
    if shape == "endless":
        raw = raw.partition(b"\r\n\r\n")[0]
    reply = parse_reply(await exchange_bytes(gateway.port, raw))
    shows(reply, 431, "headers_too_large", "invalid_request_error", "32768 bytes", "fewer or shorter")
    assert (await caller.openai()).status == 200


async def test_a_head_that_is_refused_has_no_body(caller: Caller, gateway: LocalGateway) -> None:
    """Also outside the application; its length is told. What came before on the connection is of no matter."""
    too_large = b" /healthz HTTP/1.1\r\nhost: a\r\nx-long: " + b"v" * 40_000
    for method, body in ((b"HEAD", False), (b"GET", True)):
        head, _, rest = (await exchange_bytes(gateway.port, method + too_large)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 ")
        assert b"content-length: 0" not in head
        assert bool(rest) == body
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"HEAD /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.write(b"nonsense\r\n\r\n")
    assert (await reader.read()).endswith(b"}}"), "the reply to what is no HTTP has its body"
    writer.close()


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\x00\x01\x00", b"HELO there\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
async def test_400_for_what_is_no_http(gateway: LocalGateway, raw: bytes) -> None:
    """TLS on the plain port, another protocol, another version: in the house's shape all the same."""
    reply = parse_reply(await exchange_bytes(gateway.port, raw))
    shows(reply, 400, "invalid_value", "invalid_request_error", "HTTP/1.1")
