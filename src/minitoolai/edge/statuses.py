"""The one table from errors to HTTP statuses (docs/reference/errors.md), total over the tree of `ApiError`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from minitoolai.core import errors

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
    if isinstance(error, errors.MethodNotAllowed):
        headers.append((b"allow", str(error.facts["allowed"]).encode()))
    return headers
