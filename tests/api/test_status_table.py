"""The one table from errors to statuses: total, and the contract's."""

from __future__ import annotations

from collections.abc import Iterator

from minitoolai.core import errors
from minitoolai.edge.statuses import STATUSES, status_of


def _tree(kind: type[errors.ApiError]) -> Iterator[type[errors.ApiError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _tree(below)


def test_the_table_of_statuses_is_total() -> None:
    """Every class of the tree has a row of its own or that of a class above it that is not the root."""
    for kind in _tree(errors.ApiError):
        if kind.__name__.startswith("_"):
            continue
        assert any(above in STATUSES for above in kind.__mro__), kind
        assert 400 <= STATUSES[next(above for above in kind.__mro__ if above in STATUSES)] <= 599
        assert kind.code != "server_error" or kind is errors.ServerError


def test_the_table_is_the_contracts() -> None:
    """Each code of the contract's §6 that this release knows, with its status."""
    found = {kind.code: status_of(kind.__new__(kind)) for kind in _tree(errors.ApiError) if kind.__name__[0] != "_"}
    assert found == {
        "invalid_value": 400, "invalid_json": 400, "context_length_exceeded": 400, "invalid_api_key": 401,
        "insufficient_credit": 402, "permission_denied": 403, "not_found": 404, "model_not_found": 404,
        "method_not_allowed": 405, "request_timeout": 408, "idempotency_in_progress": 409, "request_too_large": 413,
        "unsupported_media_type": 415, "idempotency_mismatch": 422, "rate_limit_exceeded": 429,
        "headers_too_large": 431, "server_error": 500, "upstream_error": 502, "service_unavailable": 503,
        "upstream_timeout": 504, "invalid_image_url": 400, "image_too_large": 400,
    }  # fmt: skip
