"""Signatures of jobs and of links: only the right key makes them, and nothing that comes instead raises."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.core.signatures import check_file, check_job, file_expiry, file_signature, job_signature

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
JOB_IDS = st.integers(10**9, 2**53 - 1)
NOW_S = st.integers(0, 2**40)
NAME = "1234567890.png"


def test_a_jobs_signature_is_the_contracts() -> None:
    """Base64url without padding of the first 16 bytes of HMAC-SHA256 of the id's digits."""
    digest = hmac.new(KEY, b"1234567890", hashlib.sha256).digest()
    signature = job_signature(KEY, 1234567890)
    assert base64.urlsafe_b64decode(signature + "==") == digest[:16]
    assert len(signature) == 22


@given(JOB_IDS, JOB_IDS)
def test_a_jobs_signature_opens_that_job_only(job_id: int, other: int) -> None:
    """With that key only."""
    signature = job_signature(KEY, job_id)
    assert check_job(KEY, job_id, signature)
    assert check_job(KEY, other, signature) == (job_id == other)
    assert not check_job(OTHER_KEY, job_id, signature)


@given(st.text())
def test_whatever_comes_instead_is_wrong(text: str) -> None:
    """Any text at all: no exception."""
    assert not check_job(KEY, 1234567890, text)
    assert not check_file(KEY, NAME, 7200, text, 0)


CHANGES: list[Callable[[str], str]] = [
    lambda right: right[:-1],
    lambda right: right + "=",
    lambda right: right + "==",
    lambda right: right.swapcase(),
    lambda right: "",
]


@pytest.mark.parametrize("change", CHANGES)
def test_nearly_right_is_wrong(change: Callable[[str], str]) -> None:
    """Cut, padded, in other letters, none."""
    assert not check_job(KEY, 1234567890, change(job_signature(KEY, 1234567890)))
    assert not check_file(KEY, NAME, 7200, change(file_signature(KEY, NAME, 7200)), 0)


@given(NOW_S, NOW_S)
def test_a_link_is_for_one_file_and_one_time(expires_s: int, other_s: int) -> None:
    """Another file, another end, another key: wrong, also where their texts run into each other."""
    signature = file_signature(KEY, NAME, expires_s)
    assert check_file(KEY, NAME, expires_s, signature, expires_s - 1)
    assert not check_file(KEY, NAME, expires_s, signature, expires_s)
    assert check_file(KEY, NAME, other_s, signature, other_s - 1) == (other_s == expires_s)
    assert not check_file(KEY, f"{NAME}1", expires_s, signature, 0)
    assert not check_file(OTHER_KEY, NAME, expires_s, signature, 0)
    assert not check_file(KEY, f"{NAME}\n{expires_s}", expires_s, signature, 0)


@given(NOW_S, st.integers(0, 3599))
def test_links_last_one_to_two_hours(now_s: int, later_s: int) -> None:
    """And those of one hour end together."""
    assert 3600 < file_expiry(now_s) - now_s <= 7200
    hour_s = now_s - now_s % 3600
    assert file_expiry(hour_s + later_s) == file_expiry(hour_s)


def test_a_jobs_signature_is_no_links() -> None:
    """Even where one key made both by mistake."""
    assert job_signature(KEY, 1234567890) != file_signature(KEY, "1234567890", 7200)
    assert not check_file(KEY, "1234567890", 7200, job_signature(KEY, 1234567890), 0)
