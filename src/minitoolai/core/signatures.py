"""Signatures that stand in for a key: of jobs, and of links to files.

Who holds one may ask about the job, or fetch the file, and nothing else. Jobs and files have keys of their own, both
derived from the server's secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

#: Bytes of an HMAC-SHA256 that are kept, 128 bits: RFC 2104 §5 asks for at least half of it.
_KEPT_BYTES = 16
#: Links made within one hour end together, so that browsers find the file in their cache; each lasts 1 to 2 hours.
_HOUR_S = 3600


def job_signature(key: bytes, job_id: int) -> str:
    """Return the signature of a job: 22 characters of base64url."""
    return _sign(key, str(job_id))


def check_job(key: bytes, job_id: int, signature: str) -> bool:
    """Whether `signature` is the job's, in a time that does not tell how much of it is right."""
    return _same(signature, job_signature(key, job_id))


def file_signature(key: bytes, name: str, expires_s: int) -> str:
    """Return the signature of a link to the file `name` that ends at `expires_s`, in seconds since 1970."""
    return _sign(key, f"{name}\n{expires_s}")


def check_file(key: bytes, name: str, expires_s: int, signature: str, now_s: int) -> bool:
    """Whether `signature` is that of the link, and the link has not ended by `now_s`; in a time as `check_job`."""
    return _same(signature, file_signature(key, name, expires_s)) and now_s < expires_s


def file_expiry(now_s: int) -> int:
    """Return when a link made at `now_s` ends: in more than 1 hour and at most 2, the same all through an hour."""
    return (now_s // _HOUR_S + 2) * _HOUR_S


def _sign(key: bytes, text: str) -> str:
    made = hmac.digest(key, text.encode(), hashlib.sha256)[:_KEPT_BYTES]
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def _same(given: str, right: str) -> bool:
    return given.isascii() and hmac.compare_digest(given, right)
