"""Webhooks: where a caller may want to be told of a job's end, what is told, how it is signed, and when it is told again.

Messages are signed as the Standard Webhooks specification says
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), so that its libraries verify
them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from minitoolai.core.errors import InvalidValue
from minitoolai.core.host_names import is_host_name
from minitoolai.core.job_replies import job_body
from minitoolai.core.jobs import JobView

#: Seconds that a receiver has to answer.
SEND_S = 10.0
#: Seconds from the beginning of one attempt to that of the next, 23 hours in all: each is over before the next begins.
WAITS_S: Sequence[float] = (15.0, 30.0, 120.0, 600.0, 3600.0, 21_600.0, 57_600.0)
MAX_ATTEMPTS = len(WAITS_S) + 1
#: Characters of a URL at most: what browsers and proxies take.
MAX_URL_CHARACTERS = 2048

#: The answer of a receiver that will never want the message (RFC 9110 §15.5.11).
_GONE = 410
_FIELD = "webhook_url"
_PRINTABLE = re.compile(r"[!-~]+")

_encode = msgspec.json.Encoder().encode


class DueWebhook(msgspec.Struct, frozen=True):
    """A job whose end is to be told now."""

    job: JobView
    url: str
    #: From 1: which attempt this is.
    attempt: int


def check_webhook_url(text: str) -> None:
    """Raise `InvalidValue` for a URL that nobody could ever be told at. Whether its name leads to the open Internet shows
    when it is told."""
    if not 1 <= len(text) <= MAX_URL_CHARACTERS:
        raise _invalid(f"send a URL of at most {MAX_URL_CHARACTERS} characters, or leave it out.")
    if not _PRINTABLE.fullmatch(text):
        raise _invalid("write it in ASCII without spaces: names as punycode, all else percent-encoded.")
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:  # brackets that do not match, ports that are none
        raise _invalid("it is no URL. Send one like https://example.com/told.") from None
    if scheme not in ("https", "http") or not host or port == 0:
        raise _invalid("it is no https or http URL. Send one like https://example.com/told.")
    if parts.username is not None or parts.password is not None:
        raise _invalid("it has a user or a password in it. Messages are signed: check the signature instead.")
    if "[" in parts.netloc or not is_host_name(host):  # what brackets hold is no name, even where it looks like one
        raise _invalid("its host is no name. Send a URL with a name that anyone on the Internet can look up.")


def message(job: JobView, url: str | None) -> bytes:
    """Return the body of the message about a job: what the job's own reply says, and which job it is."""
    return _encode({"jobid": job.id, **job_body(job, url)})


def headers(key: bytes, job: JobView, body: bytes, now_s: int) -> dict[str, str]:
    """Return the headers of a message sent at `now_s`, in seconds since 1970; `key` signs. A message that is sent again has
    the id that it had."""
    message_id = f"job_{job.id}"
    signed = hmac.digest(_secret(key, job.account_id), f"{message_id}.{now_s}.".encode() + body, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def shown_secret(key: bytes, account_id: int) -> str:
    """Return what an account verifies its messages with, as the specification's libraries take it."""
    return f"whsec_{base64.b64encode(_secret(key, account_id)).decode()}"


def is_told(status: int | None) -> bool:
    """Whether an answer's status means that the message has arrived; None: there was no answer."""
    return status is not None and 200 <= status < 300


def is_given_up(status: int | None, attempt: int) -> bool:
    """Whether a message that has not arrived at this attempt is not sent again."""
    return status == _GONE or attempt >= MAX_ATTEMPTS


def _secret(key: bytes, account_id: int) -> bytes:
    return hmac.digest(key, str(account_id).encode(), hashlib.sha256)


def _invalid(why: str) -> InvalidValue:
    return InvalidValue(param=_FIELD, why=why)
