"""Webhooks: which URLs, which words, which signature, which attempts."""

from __future__ import annotations

import base64
import json

import pytest

from minitoolai.core.errors import InvalidValue
from minitoolai.core.jobs import MIN_JOB_ID, JobKind, JobState
from minitoolai.core.webhooks import (
    MAX_ATTEMPTS,
    MAX_URL_CHARACTERS,
    SEND_S,
    WAITS_S,
    check_webhook_url,
    headers,
    is_given_up,
    is_told,
    message,
    shown_secret,
)
from tests.support.told_jobs import ended_job

KEY = bytes(range(32))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "HTTPS://Example.COM:443/told?job=1&x=%20#part",
        "http://example.com:8080/told",
        "http://example.com:/",
        "https://xn--80ak6aa92e.example/",
        "https://n8n/hook",
        f"https://example.com/{'x' * (MAX_URL_CHARACTERS - 20)}",
    ],
)
def test_urls(url: str) -> None:
    """Names are taken, on any port; where they lead is looked at when they are told."""
    check_webhook_url(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "at most 2048 characters"),
        (f"https://example.com/{'x' * (MAX_URL_CHARACTERS - 19)}", "at most 2048 characters"),
        ("https://example.com/a b", "in ASCII"),
        ("https://example.com/\n", "in ASCII"),
        ("https://żółw.example/", "in ASCII"),
        ("https://１２７.０.０.１/", "in ASCII"),
        ("example.com", "no https or http URL"),
        ("//example.com/", "no https or http URL"),
        ("ftp://example.com/", "no https or http URL"),
        ("file:///etc/passwd", "no https or http URL"),
        ("https://", "no https or http URL"),
        ("https:///told", "no https or http URL"),
        ("https://:443/", "no https or http URL"),
        ("https://example.com:0/", "no https or http URL"),
        ("https://[::1", "no URL"),
        ("https://example.com:99999/", "no URL"),
        ("https://example.com:x/", "no URL"),
        ("https://user@example.com/", "a user or a password"),
        ("https://:password@example.com/", "a user or a password"),
        ("https://example.com\\@127.0.0.1/", "a user or a password"),
        ("https://127.0.0.1/", "no name"),
        ("https://2130706433/", "no name"),
        ("https://0x7f.1/", "no name"),
        ("https://[::1]/", "no name"),
        ("https://[v1.example]/", "no name"),
        ("https://%31%32%37.0.0.1/", "no name"),
        ("https://a..b/", "no name"),
    ],
)
def test_urls_that_nobody_is_told_at(url: str, words: str) -> None:
    """Each is refused in words that say what to send, with the field's name."""
    with pytest.raises(InvalidValue) as caught:
        check_webhook_url(url)
    assert caught.value.param == "webhook_url"
    assert words in caught.value.message


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_messages(state: JobState) -> None:
    """A message says what the job's own reply says, and which job it is."""
    told = json.loads(message(ended_job(state), "https://here/x.png"))
    if state is JobState.SUCCEEDED:
        assert told == {
            "jobid": MIN_JOB_ID, "status": "success", "image_url": "https://here/x.png", "message": "success", "seed": 7,
            "cost": "0.0015",
        }  # fmt: skip
    else:
        assert told == {"jobid": MIN_JOB_ID, "status": "error", "image_url": None, "message": "why"}


def test_a_message_about_speech() -> None:
    """By the field of its kind, with its characters."""
    told = json.loads(message(ended_job(kind=JobKind.SPEECH), "https://here/x.mp3"))
    assert told == {
        "jobid": MIN_JOB_ID, "status": "success", "audio_url": "https://here/x.mp3", "message": "success",
        "characters": 5000, "cost": "0.0015",
    }  # fmt: skip


def test_secrets() -> None:
    """Each account has its own, 256 bits, always the same."""
    one, other = shown_secret(KEY, 1), shown_secret(KEY, 2)
    assert one == shown_secret(KEY, 1) != other != shown_secret(bytes(32), 2)
    kind, _, coded = one.partition("_")
    assert (kind, len(base64.b64decode(coded, validate=True))) == ("whsec", 32)


def test_headers() -> None:
    """The id stays with the job, the time is the attempt's; the signature covers id, time and body, by the account."""
    job, other = ended_job(), ended_job(account_id=8)
    first, again = headers(KEY, job, b"{}", 1_700_000_000), headers(KEY, job, b"{}", 1_700_000_015)
    assert first["webhook-id"] == again["webhook-id"] == f"job_{MIN_JOB_ID}"
    assert (first["webhook-timestamp"], again["webhook-timestamp"]) == ("1700000000", "1700000015")
    assert first["content-type"] == "application/json"
    signatures = {
        each["webhook-signature"]
        for each in (
            first, again, headers(KEY, job, b"{ }", 1_700_000_000), headers(KEY, other, b"{}", 1_700_000_000),
            headers(bytes(32), job, b"{}", 1_700_000_000),
            headers(KEY, ended_job(job_id=MIN_JOB_ID + 1), b"{}", 1_700_000_000),
        )
    }  # fmt: skip
    assert len(signatures) == 6
    assert first == headers(KEY, job, b"{}", 1_700_000_000)


def test_attempts() -> None:
    """Each attempt is over before the next begins, each wait is longer, and all are over within a day."""
    assert WAITS_S[0] > SEND_S
    assert list(WAITS_S) == sorted(set(WAITS_S))
    assert 20 * 3600 < sum(WAITS_S) < 24 * 3600
    assert len(WAITS_S) + 1 == MAX_ATTEMPTS


def test_statuses() -> None:
    """A success has arrived; the last attempt gives up, and so does a receiver that is gone for good."""
    assert [status for status in (None, 100, 199, 200, 204, 299, 300, 301, 400, 404, 410, 500) if is_told(status)] == [
        200, 204, 299,
    ]  # fmt: skip
    assert not is_given_up(None, 1)
    assert not is_given_up(404, MAX_ATTEMPTS - 1)
    assert is_given_up(410, 1)
    assert is_given_up(None, MAX_ATTEMPTS)
    assert is_given_up(500, MAX_ATTEMPTS + 1)
