"""API keys: their form, and what one may do.

A key is `sk-` + 32 random bytes in base62 + a checksum, so that a random string is refused without a look-up. Only
its SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX = "sk-"
#: Base62 digits of 32 bytes, and of the CRC-32 behind them.
_BODY_DIGITS = 43
_SUM_DIGITS = 6
KEY_LENGTH = len(_PREFIX) + _BODY_DIGITS + _SUM_DIGITS
#: Random bytes that a key is made from.
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a call is for: an account, through one of its keys."""

    account_id: int
    key_id: int
    #: Models the key may use; None: all.
    models: frozenset[str] | None
    expires_at: datetime | None
    revoked: bool
    suspended: bool
    #: Whether it sees the whole account's usage and statement, not only its own.
    owner: bool = False
    #: Networks it may be used from; None: anywhere.
    networks: tuple[IPv4Network | IPv6Network, ...] | None = None

    def may_come_from(self, address: str | None) -> bool:
        """Whether the key may be used from an IP address; None: it is not known."""
        if self.networks is None:
            return True
        if address is None:
            return False
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


def make_key(random: bytes) -> str:
    """Return the key made of 32 random bytes."""
    if len(random) != KEY_BYTES:
        raise ValueError(f"a key is made of {KEY_BYTES} bytes, got {len(random)}")
    body = _PREFIX + _base62(int.from_bytes(random, "big"), _BODY_DIGITS)
    return body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether `key` has a key's form and its checksum is right."""
    return (
        len(key) == KEY_LENGTH
        and key.startswith(_PREFIX)
        and key.isascii()
        and _checksum(key[:-_SUM_DIGITS]) == key[-_SUM_DIGITS:]
    )


def key_digest(key: str) -> bytes:
    """Return the 32 bytes under which a key is stored."""
    return hashlib.sha256(key.encode()).digest()


def key_hint(key: str) -> str:
    """Return a form of `key` that a person recognises and nobody can use."""
    return f"{key[:7]}…{key[-4:]}"


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _SUM_DIGITS)


def _base62(number: int, digits: int) -> str:
    out = []
    for _ in range(digits):
        number, digit = divmod(number, 62)
        out.append(_ALPHABET[digit])
    return "".join(reversed(out))
