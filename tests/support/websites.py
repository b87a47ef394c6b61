"""A world of one's own for what goes out: an authority, sites with its certificates on loopback, and a pot of honey.

`SITE` stands in for the Internet, 127.0.0.1 for the operator's own network: both listen on the same port.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from minitoolai.integrations.addresses import is_public
from minitoolai.integrations.reach import Reach

SITE = "127.0.0.2"
HOSTS = ("site.test", "other.test")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def certificates(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return contexts of a server called as in `HOSTS` and of a client that trusts it. The files lie in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "site.pem"
    file.write_bytes(pem + private)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())


class World:
    """The site, and who knocked where."""

    def __init__(self, port: int, trust: ssl.SSLContext, scheme: str) -> None:
        self.port = port
        self._scheme = scheme
        #: What the site does.
        self.handler: Handler = _nothing
        #: Paths that the site was asked for, and headers with them.
        self.asked: list[web.Request] = []
        #: Connections that came to the honeypot.
        self.knocks = 0
        #: What the next look-ups of any name answer; the last stays.
        self.answers: list[Sequence[str]] = [[SITE]]
        #: Names that were looked up.
        self.names: list[str] = []
        self.reach = Reach(allowed=_in_this_world, ports=frozenset({port}), lookup=self.lookup, tls=trust)
        self.by_default = replace(self.reach, allowed=is_public)

    def url(self, path: str = "/picture", host: str = HOSTS[0]) -> str:
        """Return a URL of the site."""
        return f"{self._scheme}://{host}:{self.port}{path}"

    def lookup(self, host: str) -> Sequence[str]:
        """Answer as told."""
        self.names.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to the site."""
        self.asked.append(request)
        return await self.handler(request)

    async def knock(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count a connection."""
        self.knocks += 1
        writer.close()


@contextlib.asynccontextmanager
async def world(folder: Path, scheme: str = "https") -> AsyncIterator[World]:
    """A site at `SITE`, and a honeypot on the same port of 127.0.0.1 and ::1."""
    serving, trust = certificates(folder)
    with _same_port(SITE, "127.0.0.1", "::1") as (outside, *inside):
        made = World(outside.getsockname()[1], trust, scheme)
        runner = web.AppRunner(_application(made), handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, outside, ssl_context=serving if scheme == "https" else None).start()
        pots = [await asyncio.start_server(made.knock, sock=listener) for listener in inside]
        try:
            yield made
        finally:
            for pot in pots:
                pot.close()
                await pot.wait_closed()
            await runner.cleanup()


def _application(made: World) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.take)
    return application


@contextlib.contextmanager
def _same_port(first: str, *others: str) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((first, 0)))]
        port = listeners[0].getsockname()[1]
        for host in others:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listeners.append(stack.enter_context(socket.create_server((host, port), family=family)))
        yield listeners


def _in_this_world(address: IPv4Address | IPv6Address) -> bool:
    return str(address) == SITE or is_public(address)


async def _nothing(_: web.Request) -> web.StreamResponse:
    return web.Response(status=404)
