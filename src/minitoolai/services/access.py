"""Whom a key is for: remembered for some seconds, dropped as soon as anything about keys changes."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from minitoolai.core.access import Principal, is_well_formed, key_digest
from minitoolai.core.catalog import Model
from minitoolai.core.errors import AddressNotAllowed, InvalidApiKey, ModelNotAllowed
from minitoolai.services.ports import KeyStore

#: A record is trusted so long (docs/reference/api.md); the hold rechecks what may cost money.
REMEMBER_S = 5.0
#: Records kept at most: the keys in use within five seconds on one process.
MOST_REMEMBERED = 20_000


class Access:
    """Identifies keys."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        self._remembered: dict[str, tuple[float, Principal]] = {}

    def forget(self) -> None:
        """Drop what is remembered: some key or account changed."""
        self._remembered.clear()

    async def identify(self, authorization: str | None, address: str | None = None) -> Principal:
        """Return whom the `Authorization` header of a caller at an IP `address` is for.

        Raises `InvalidApiKey`, `AddressNotAllowed`, `DatabaseUnavailable`.
        """
        key = _bearer(authorization)
        now = time.monotonic()
        known = self._remembered.get(key)
        if known is None or known[0] < now:
            if not is_well_formed(key):
                why = "This is not a key of this server: it is mistyped, cut off, or another service's."
                raise InvalidApiKey(why=why)
            found = await self._keys.find(key_digest(key))
            if found is None:
                raise InvalidApiKey(why="This key is not known here.")
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            known = self._remembered[key] = (now + REMEMBER_S, found)
        principal = known[1]
        if principal.revoked:
            raise InvalidApiKey(why="This key was revoked.")
        if principal.expires_at is not None and principal.expires_at <= datetime.now(UTC):
            raise InvalidApiKey(why="This key has expired.")
        if not principal.may_come_from(address):
            raise AddressNotAllowed()
        return principal


def check_model(principal: Principal, model: Model) -> None:
    """Raise `ModelNotAllowed` when the key may not use `model`."""
    if principal.models is not None and model.id not in principal.models:
        raise ModelNotAllowed(param="model", model=model.id)


def _bearer(authorization: str | None) -> str:
    """Return what stands for a key in an `Authorization` header. Raises `InvalidApiKey` where nothing does."""
    if not authorization:
        raise InvalidApiKey(why="There is no API key in the request.")
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise InvalidApiKey(why="The Authorization header is not of the form Bearer.")
    return key
