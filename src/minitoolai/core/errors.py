"""Every failure that has a name.

`ApiError` reaches callers: its status stands in `edge/statuses.py`. What no caller is shown stands in `inner_errors`.
A class's docstring is its message, with its facts in the braces. No provider text, path, key or repr may enter.
"""

from __future__ import annotations

from typing import ClassVar

from minitoolai.core.ledger import Rates


class MiniToolError(Exception):
    """Something failed."""

    code: ClassVar[str] = "server_error"

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(facts)

    @property
    def message(self) -> str:
        """The class's docstring with the facts filled in."""
        return " ".join((type(self).__doc__ or "").split()).format(**self.facts)

    def __str__(self) -> str:
        return self.message


class ApiError(MiniToolError):
    """A failure that a caller of the API is told about."""

    #: `error.type` of OpenAI's error shape.
    type: ClassVar[str] = "invalid_request_error"

    def __init__(self, *, param: str | None = None, **facts: object) -> None:
        #: The field of the request at fault, as `messages[2].content`; None where no field is.
        self.param = param
        super().__init__(param=param, **facts)

    def shown(self) -> dict[str, dict[str, str | None]]:
        """Return the error in OpenAI's shape, as bodies and streams carry it."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    @property
    def retry_after_s(self) -> int | None:
        """Seconds after which the same call may succeed; None where waiting does not help."""
        return None


# -- 400: bad input ---------------------------------------------------------------------------------------------


class InvalidRequest(ApiError):
    """The request is not valid."""

    code = "invalid_value"


class InvalidHttp(InvalidRequest):
    """The request is not valid HTTP/1.1."""


class UpgradeRefused(InvalidRequest):
    """This server speaks HTTP/1.1 only. Send the request without the Upgrade header (curl: --http1.1)."""


class InvalidJson(InvalidRequest):
    """The body is not valid JSON: {why}. Send one UTF-8 JSON object."""

    code = "invalid_json"


class InvalidValue(InvalidRequest):
    """Invalid value for '{param}': {why}"""


class EngineRefusedRequest(InvalidRequest):
    """The model '{model}' does not accept this request{where}. Check the field against the model's documentation."""


class ContextLengthExceeded(InvalidRequest):
    """The messages hold {prompt_tokens} tokens, more than the {context_tokens} that the model '{model}' can read.
    Shorten them, or choose a model with a longer context."""

    code = "context_length_exceeded"


class TextTooLong(ContextLengthExceeded):
    """The text at '{param}' has {prompt_tokens} tokens, more than the {context_tokens} that the model '{model}' can
    embed. Shorten it, or split it and embed the parts."""


class InvalidImageUrl(InvalidRequest):
    """The image at '{param}' cannot be had: {why} Send an https URL that anyone can open, or the picture itself as a
    data: URL."""

    code = "invalid_image_url"


class ImageTooLarge(InvalidRequest):
    """The image at '{param}' is too large: {why} Send a smaller one."""

    code = "image_too_large"


# -- 401, 402, 403, 404 -----------------------------------------------------------------------------------------


class InvalidApiKey(ApiError):
    """{why} Send the header "Authorization: Bearer sk-…" with a key of this server."""

    type = "authentication_error"
    code = "invalid_api_key"


class InsufficientCredit(ApiError):
    """This call has to set aside {needed} USD and {available} USD are available on the account. Top up, or send a
    shorter prompt or a smaller max_completion_tokens."""

    type = "insufficient_quota"
    code = "insufficient_credit"


class KeyLimitReached(InsufficientCredit):
    """This call has to set aside {needed} USD and this key may still spend {available} USD. Raise the key's limit, use
    another key, or send a shorter prompt or a smaller max_completion_tokens."""


class CostCapExceeded(InsufficientCredit):
    """This call may cost up to {needed} USD, more than the {cap} USD that x-max-cost allows. Raise the cap, or send a
    shorter prompt or a smaller max_completion_tokens."""


class PermissionDenied(ApiError):
    """This key may not do that."""

    type = "permission_error"
    code = "permission_denied"


class ModelNotAllowed(PermissionDenied):
    """This key may not use the model '{model}'. Use one of the key's models, or another key."""


class AddressNotAllowed(PermissionDenied):
    """This key may not be used from your address. Call from one of the key's addresses, or use another key."""


class OthersCalls(PermissionDenied):
    """This key sees its own calls only. Omit '{param}', or use a key of the account's owner."""


class MetricsNotAllowed(PermissionDenied):
    """Metrics are for programs on this machine. From elsewhere send the header "Authorization: Bearer …" with the token
    that the server's operator set (metrics_token_env)."""


class AccountSuspended(PermissionDenied):
    """This account is suspended. Write to the operator of this server."""


class NotFound(ApiError):
    """There is no {method} {path} here{instead}. The API's paths are listed in the documentation."""

    code = "not_found"


class ModelNotFound(NotFound):
    """The model '{model}' does not exist. GET /v1/models lists the models of this server."""

    code = "model_not_found"


class ResponseNotStored(NotFound):
    """This server stores no responses. Keep the reply of POST /v1/responses, and send its items again in input."""


# -- 405, 408, 409, 413, 415, 422, 431 --------------------------------------------------------------------------


class MethodNotAllowed(ApiError):
    """{path} does not take {method}. Use {allowed}."""

    code = "method_not_allowed"


class RequestTimeout(ApiError):
    """The request did not arrive whole within {seconds} s. Send it again over a better connection."""

    code = "request_timeout"


class IdempotencyInProgress(ApiError):
    """A call with this Idempotency-Key is still running. Wait for it, then repeat."""

    code = "idempotency_in_progress"


class RequestTooLarge(ApiError):
    """The body is larger than {limit} bytes. Shorten it."""

    code = "request_too_large"


class UnsupportedMediaType(ApiError):
    """The Content-Type '{got}' is not supported. Send application/json."""

    code = "unsupported_media_type"


class IdempotencyMismatch(ApiError):
    """This Idempotency-Key was used with another body. Use a new key for a new call."""

    code = "idempotency_mismatch"


class HeadersTooLarge(ApiError):
    """The request's headers are larger than {limit} bytes. Send fewer or shorter headers."""

    code = "headers_too_large"


# -- 429, 500, 502, 503, 504 ------------------------------------------------------------------------------------


class _Retryable(ApiError):
    """A failure that may pass by waiting."""

    def __init__(self, *, retry_after_s: int = 1, param: str | None = None, **facts: object) -> None:
        super().__init__(param=param, **facts)
        self._retry_after_s = retry_after_s

    @property
    def retry_after_s(self) -> int | None:
        return self._retry_after_s


class RateLimited(_Retryable):
    """Too many requests for the model '{model}' at present. Wait as Retry-After says, then repeat."""

    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class KeyRateLimited(RateLimited):
    """This key's calls of this minute are used up. Wait as Retry-After says, then repeat."""

    @property
    def rates(self) -> Rates | None:
        """How the key's minute stands, for the headers."""
        found = self.facts.get("rates")
        return found if isinstance(found, Rates) else None


class KeyRequestsLimited(KeyRateLimited):
    """This key may make {limit} requests a minute, and they are used up. Wait as Retry-After says, then repeat; or use
    another key."""


class KeyTokensLimited(KeyRateLimited):
    """This key may use {limit} tokens a minute, {left} are left, and this call may use {needed}. Wait as Retry-After
    says, then repeat; or send a shorter prompt or a smaller max_completion_tokens."""


class ServerError(ApiError):
    """A fault of this server. Nothing was charged for what you did not receive. Report the request id."""

    type = "server_error"


class UpstreamError(ApiError):
    """The model '{model}' failed to answer. Nothing more is charged; repeat the call, or use another model."""

    type = "server_error"
    code = "upstream_error"


class EngineLacksModel(UpstreamError):
    """The model '{model}' failed to answer. Nothing more is charged; use another model, or repeat the call later."""


class UpstreamTimeout(ApiError):
    """The model '{model}' did not answer in time. Nothing more is charged; repeat the call, or use another model."""

    type = "server_error"
    code = "upstream_timeout"


class ServiceUnavailable(_Retryable):
    """This server cannot take the call at present. Repeat after the time in Retry-After."""

    type = "server_error"
    code = "service_unavailable"


class DatabaseUnavailable(ServiceUnavailable):
    """This server cannot reach its database at present. Nothing was charged; repeat after the time in Retry-After."""


class Draining(ServiceUnavailable):
    """This server is restarting. What you received was charged, nothing more; repeat the call."""


class NoEngine(ServiceUnavailable):
    """No engine serves the model '{model}' at present. Repeat later, or use another model of GET /v1/models."""


class EngineQuotaExhausted(ServiceUnavailable):
    """The model '{model}' cannot be served at present; the operator was told. Use another model, or repeat later."""
