"""What is stored of callers' texts, and only so: encrypted with a key derived from the server's secret.

AES-256-GCM with a random nonce of 96 bits (NIST SP 800-38D allows 2^32 messages a key); what a text belongs to is
authenticated with it, so that no row can be passed off as another.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE_BYTES = 12


class SealBroken(Exception):
    """The bytes were not sealed with this key for this owner."""


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Return the 32 bytes that stand for `purpose` (HKDF-SHA256, RFC 5869): no purpose learns another's key."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"minitoolai: {purpose}".encode()).derive(secret)


class Seal:
    """Encrypts for one purpose, and marks what must be found again without being stored."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(hashlib.sha256(b"seal" + key).digest())
        self._mark_key = hashlib.sha256(b"mark" + key).digest()

    def close(self, clear: bytes, owner: bytes) -> bytes:
        """Return `clear` encrypted for `owner`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, clear, owner)

    def open(self, sealed: bytes, owner: bytes) -> bytes:
        """Return what was sealed for `owner`. Raises `SealBroken`."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner)
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error

    def mark(self, value: bytes) -> bytes:
        """Return a keyed hash of `value` (HMAC-SHA256): equal for equal values, and nothing else can be read from it."""
        return hmac.digest(self._mark_key, value, hashlib.sha256)
