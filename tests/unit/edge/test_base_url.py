"""Where links begin: what a request says of where the caller found this server, believed as far as it can be."""

from __future__ import annotations

from typing import Any

import pytest

from minitoolai.edge.addresses import parse_networks
from minitoolai.edge.base_url import base_url

TRUSTED = parse_networks(["10.0.0.0/8"], "test")


def scope(client: str | None = "203.0.113.7", server: Any = ("127.0.0.1", 8000), **headers: str) -> dict[str, Any]:
    """A request's scope; names of headers have underscores for hyphens."""
    lines = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"scheme": "http", "client": (client, 1) if client else None, "server": server, "headers": lines}


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("ai.example.com", "http://ai.example.com"),
        ("ai.example.com:8000", "http://ai.example.com:8000"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("[2001:db8::1]", "http://[2001:db8::1]"),
        ("my_host", "http://my_host"),
    ],
)
def test_the_host_header_says_it(host: str, base: str) -> None:
    """With its port, names and addresses."""
    assert base_url(scope(host=host), ()) == base


@pytest.mark.parametrize(
    "host", ["", " ", "a b", "a/b", "a?x=1", "user@a", "a:port", "a\nb", "zażółć", "<a>", "a" * 300, "a:1:2", "a,b"]
)
def test_what_is_no_host_is_not_repeated(host: str) -> None:
    """This server's own address stands in."""
    encoded = host.encode().decode("latin-1")
    assert base_url(scope(host=encoded), ()) == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("server", "base"),
    [(("::1", 80), "http://[::1]:80"), (("name", None), "http://name"), (None, "http://localhost")],
)
def test_without_a_host(server: Any, base: str) -> None:
    """HTTP/1.0 has none; a Unix socket has no port."""
    assert base_url(scope(server=server), ()) == base


def test_a_stranger_is_not_believed() -> None:
    """Whatever it says of proxies."""
    said = {"host": "a.example", "x_forwarded_proto": "https", "x_forwarded_host": "evil.example"}
    for client in ("203.0.113.7", None):
        assert base_url(scope(client, **said), TRUSTED) == "http://a.example"
    assert base_url(scope("10.0.0.1", **said), ()) == "http://a.example"


@pytest.mark.parametrize(
    ("proto", "forwarded", "base"),
    [
        ("https", "ai.example", "https://ai.example"),
        ("http, https", "evil.example, ai.example:444", "https://ai.example:444"),
        ("https", "a b", "https://a.example"),
        ("ftp", "ai.example", "http://ai.example"),
    ],
)
def test_a_trusted_proxy_is_believed(proto: str, forwarded: str, base: str) -> None:
    """The nearest one's word, which is the last; what is none is passed over."""
    said = {"host": "a.example", "x_forwarded_proto": proto, "x_forwarded_host": forwarded}
    assert base_url(scope("10.1.2.3", **said), TRUSTED) == base


def test_a_trusted_proxy_may_say_half_of_it() -> None:
    """The scheme alone, as most do; the host is then the Host header's."""
    assert base_url(scope("10.1.2.3", host="a.example", x_forwarded_proto="https"), TRUSTED) == "https://a.example"
    assert base_url(scope("10.1.2.3", host="a.example"), TRUSTED) == "http://a.example"
