"""Paths that any page may ask, whatever origins are set; the rest of CORS is tested on a whole gateway."""

from __future__ import annotations

import pytest

from minitoolai.edge.cors import Cors
from minitoolai.edge.exchange import Receive, Scope, Send
from tests.support.asgi import ask

OPEN = ("/files/", "/api/texttoimage/jobs/")
#: Below them, with and without a slash at the end.
OPENED = (
    "/files/1.png", "/files/", "/files",
    "/api/texttoimage/jobs", "/api/texttoimage/jobs/", "/api/texttoimage/jobs/cancel",
)  # fmt: skip
CLOSED = ("/v1/models", "/filesystem", "/api/texttoimage", "/api/texttoimage/jobsx", "/x/files/1.png", "/")
PAGE = "https://chat.example.com"
ALLOW = "access-control-allow-origin"
PREFLIGHT = {"origin": "https://any.example.com", "access-control-request-method": "POST"}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer anything."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["path"].encode())]})
    await send({"type": "http.response.body", "body": b"x"})


@pytest.mark.parametrize("origins", [(), (PAGE,), ("*",)])
@pytest.mark.parametrize(
    "path",
    ["/files/1.png", "/files/", "/files", "/api/texttoimage/jobs", "/api/texttoimage/jobs/", "/api/texttoimage/jobs/cancel"],
)
async def test_any_page_reads_an_open_path(origins: tuple[str, ...], path: str) -> None:
    """Whether its origin is listed, another's, or none is named; caches need not tell them apart."""
    asgi = Cors(application, origins, open_paths=OPEN)
    for headers in ({"origin": "https://any.example.com"}, {"origin": PAGE}, {"origin": "null"}, {}):
        reply = await ask(asgi, path, headers=headers)
        assert reply.status == 200
        assert reply.headers["x-path"] == path
        assert reply.headers[ALLOW] == "*"
        assert {"etag", "content-range", "x-request-id"} <= set(reply.headers["access-control-expose-headers"].split(", "))
        assert "vary" not in reply.headers
        assert "access-control-allow-credentials" not in reply.headers
    reply = await ask(asgi, path, method="OPTIONS", headers={**PREFLIGHT, "access-control-request-headers": "content-type"})
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers[ALLOW] == "*"
    assert {"content-type", "range", "if-none-match"} <= set(reply.headers["access-control-allow-headers"].split(", "))


@pytest.mark.parametrize(
    "path", ["/v1/models", "/filesystem", "/api/texttoimage", "/api/texttoimage/jobsx", "/x/files/1.png", "/"]
)
async def test_other_paths_stay_as_they_were(path: str) -> None:
    """Closed where no origin is set, and open to the listed ones only where some are."""
    closed = Cors(application, (), open_paths=OPEN)
    reply = await ask(closed, path, headers={"origin": PAGE})
    assert list(reply.headers) == ["x-path"]
    assert (await ask(closed, path, method="OPTIONS", headers=PREFLIGHT)).status == 200, "left to the application"
    listed = Cors(application, (PAGE,), open_paths=OPEN)
    assert (await ask(listed, path, headers={"origin": PAGE})).headers[ALLOW] == PAGE
    assert list((await ask(listed, path, headers={"origin": "https://any.example.com"})).headers) == ["x-path", "vary"]


async def test_without_open_paths_there_are_none() -> None:
    """The default is closed."""
    reply = await ask(Cors(application, ()), "/files/1.png", headers={"origin": PAGE})
    assert list(reply.headers) == ["x-path"]
