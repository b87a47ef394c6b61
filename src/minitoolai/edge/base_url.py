"""Where callers find this server, as a request says: what links begin with where the operator does not say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from minitoolai.edge.addresses import Networks, is_trusted

#: A host with or without a port, as RFC 3986 §3.2.2 has them; what else a Host header may hold is not repeated.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def base_url(scope: Mapping[str, Any], trusted: Networks) -> str:
    """Return scheme and host of the request, as "https://ai.example.com": what a trusted proxy says they were for the
    caller, else the Host header; this server's own address where there is none, or it is no host's name."""
    headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
    client = scope.get("client")
    believed = is_trusted(client[0] if client else None, trusted)
    scheme = _last(headers.get(b"x-forwarded-proto")) if believed else None
    if scheme not in ("http", "https"):
        scheme = str(scope.get("scheme", "http"))
    forwarded = _last(headers.get(b"x-forwarded-host")) if believed else None
    for host in (forwarded, headers.get(b"host", b"").decode("latin-1")):
        if host is not None and _HOST.fullmatch(host):
            return f"{scheme}://{host}"
    address, port = scope.get("server") or ("localhost", None)
    shown = f"[{address}]" if ":" in address else address
    return f"{scheme}://{shown}" if port is None else f"{scheme}://{shown}:{port}"


def _last(value: bytes | None) -> str | None:
    """Return what the nearest proxy put into a header: the last of a list."""
    return None if value is None else value.decode("latin-1").rpartition(",")[2].strip()
