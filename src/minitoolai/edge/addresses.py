"""Where a caller is: the peer of the connection, or what trusted proxies say of it in `X-Forwarded-For`."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from minitoolai.core.inner_errors import ConfigInvalid

Networks = tuple[IPv4Network | IPv6Network, ...]

#: Hops that are looked at, from the last: no chain of proxies is longer.
MOST_HOPS = 32


def parse_networks(texts: Iterable[str], source: str) -> Networks:
    """Return networks like "10.0.0.0/8", or single addresses. Raises `ConfigInvalid` naming `source`."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError as error:
            raise ConfigInvalid(source=source, why=f"'{text}' is no network like 10.0.0.0/8: {error}") from None
    return tuple(found)


def caller_address(peer: str | None, forwarded: Iterable[str], trusted: Networks) -> str | None:
    """Return the caller's IP address: the last hop of the `X-Forwarded-For` lines that no trusted proxy is.

    Only a trusted peer is believed, and one whose lines are malformed is not. Where every hop is trusted the caller is
    the first of them. None: the peer is not known.
    """
    address = _address(peer)
    if address is None:
        return peer
    if not _is_in(address, trusted):
        return str(address)
    hops = [hop for line in forwarded for hop in line.split(",")]
    found = address
    for hop in reversed(hops[-MOST_HOPS:]):
        here = _address(_without_port(hop.strip()))
        if here is None:
            return str(address)
        found = here
        if not _is_in(found, trusted):
            break
    return str(found)


def is_trusted(peer: str | None, trusted: Networks) -> bool:
    """Whether the peer of a connection is a proxy that is believed."""
    address = _address(peer)
    return address is not None and _is_in(address, trusted)


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    """Return an IP address, one of IPv4 in IPv6's clothes as what it is; None: it is none."""
    try:
        found = ip_address(text or "")
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_in(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def _without_port(hop: str) -> str:
    """Return the address in "203.0.113.7:4711" or "[2001:db8::1]:4711", as some proxies write it."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
