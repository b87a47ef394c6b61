"""The one table from errors to HTTP statuses (docs/reference/errors.md), total over the tree of `ApiError`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from minitoolai.core import errors
from minitoolai.core.ledger import Rates

STATUSES: Mapping[type[errors.ApiError], int] = {
    errors.InvalidRequest: 400,
    errors.InvalidApiKey: 401,
    errors.InsufficientCredit: 402,
    errors.PermissionDenied: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.RequestTimeout: 408,
    errors.IdempotencyInProgress: 409,
    errors.RequestTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.IdempotencyMismatch: 422,
    errors.RateLimited: 429,
    errors.HeadersTooLarge: 431,
    errors.ServerError: 500,
    errors.UpstreamError: 502,
    errors.ServiceUnavailable: 503,
    errors.UpstreamTimeout: 504,
}

_encode = msgspec.json.Encoder().encode


def status_of(error: errors.ApiError) -> int:
    """Return the HTTP status of `error`: that of its class, or of the nearest class above it in the table."""
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return 500


def error_body(error: errors.ApiError) -> bytes:
    """Return `error` as OpenAI's JSON."""
    return _encode(error.shown())


def error_headers(error: errors.ApiError) -> list[tuple[bytes, bytes]]:
    """Return the headers that an error's status asks for."""
    headers = []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    if isinstance(error, errors.KeyRateLimited):
        headers += rate_headers(error.rates)
    if isinstance(error, errors.MethodNotAllowed):
        headers.append((b"allow", str(error.facts["allowed"]).encode()))
    return headers


def rate_headers(rates: Rates | None) -> list[tuple[bytes, bytes]]:
    """Return the `x-ratelimit-*` headers, as OpenAI's: how a key's minute stands."""
    if rates is None:
        return []
    resets = b"%.3fs" % (rates.resets_in_ms / 1000)
    return [
        (b"x-ratelimit-limit-requests", b"%d" % rates.request_limit),
        (b"x-ratelimit-limit-tokens", b"%d" % rates.token_limit),
        (b"x-ratelimit-remaining-requests", b"%d" % rates.requests_left),
        (b"x-ratelimit-remaining-tokens", b"%d" % rates.tokens_left),
        (b"x-ratelimit-reset-requests", resets),
        (b"x-ratelimit-reset-tokens", resets),
    ]
