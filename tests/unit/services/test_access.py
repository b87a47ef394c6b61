"""A key is remembered for some seconds, forgotten at once, and never refused for a fault of ours."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from minitoolai.core.access import key_digest, make_key
from minitoolai.core.catalog import ChatModel
from minitoolai.core.errors import DatabaseUnavailable, InvalidApiKey, ModelNotAllowed
from minitoolai.core.pricing import TokenPrices
from minitoolai.services import access as module
from minitoolai.services.access import REMEMBER_S, Access, check_model
from tests.support.fakes import FakeKeys, principal

KEY = make_key(bytes(range(32)))
HEADER = f"Bearer {KEY}"


class FakeTime:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """The clock that `access` looks at."""
    fake = FakeTime()
    monkeypatch.setattr(module, "time", fake)
    return fake


async def test_a_record_is_trusted_for_five_seconds_at_most(clock: FakeTime) -> None:
    """Counted from before it was asked for."""
    assert REMEMBER_S <= 5
    keys = FakeKeys({key_digest(KEY): principal()})
    access = Access(keys)
    for moment, asked in ((100.0, 1), (104.9, 1), (105.1, 2), (105.2, 2), (111.0, 3)):
        clock.now = moment
        assert await access.identify(HEADER) == principal()
        assert keys.asked == asked, moment


async def test_what_is_remembered_is_forgotten_at_once(clock: FakeTime) -> None:
    """A revocation is heard."""
    keys = FakeKeys({key_digest(KEY): principal()})
    access = Access(keys)
    await access.identify(HEADER)
    keys.keys[key_digest(KEY)] = principal(revoked=True)
    await access.identify(HEADER)
    access.forget()
    with pytest.raises(InvalidApiKey, match="revoked"):
        await access.identify(HEADER)


async def test_unknown_keys_are_not_remembered(clock: FakeTime) -> None:
    """A key that is made now works now."""
    keys = FakeKeys()
    access = Access(keys)
    with pytest.raises(InvalidApiKey, match="not known"):
        await access.identify(HEADER)
    keys.keys[key_digest(KEY)] = principal()
    assert await access.identify(HEADER) == principal()


async def test_an_expired_key_is_refused_even_if_it_is_remembered(clock: FakeTime) -> None:
    """To the second."""
    ends = datetime.now(UTC) + timedelta(seconds=0.05)
    access = Access(FakeKeys({key_digest(KEY): principal(expires_at=ends)}))
    assert (await access.identify(HEADER)).expires_at == ends
    time.sleep(0.06)  # noqa: ASYNC251 - the wall clock moves, not the loop
    with pytest.raises(InvalidApiKey, match="expired"):
        await access.identify(HEADER)


async def test_a_database_that_is_away_is_not_the_callers_fault(clock: FakeTime) -> None:
    """Promise P9: never 401; whoever is remembered still passes."""
    keys = FakeKeys({key_digest(KEY): principal()})
    access = Access(keys)
    keys.away = True
    with pytest.raises(DatabaseUnavailable):
        await access.identify(HEADER)
    keys.away = False
    await access.identify(HEADER)
    keys.away = True
    assert await access.identify(HEADER) == principal()
    clock.now += REMEMBER_S + 0.1
    with pytest.raises(DatabaseUnavailable):
        await access.identify(HEADER)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        KEY,
        f"Basic {KEY}",
        "Bearer sk-proj-1234",
        f"Bearer {KEY[:-1]}x",
        f"Bearer {KEY} x",
    ],
)
async def test_what_cannot_be_a_key_is_refused_without_a_look_up(header: str | None) -> None:
    """Missing, of another scheme, another service's, mistyped."""
    keys = FakeKeys()
    with pytest.raises(InvalidApiKey) as caught:
        await Access(keys).identify(header)
    assert keys.asked == 0
    assert KEY not in caught.value.message


@pytest.mark.parametrize("header", [f"bearer {KEY}", f"BEARER   {KEY}  "])
async def test_the_scheme_is_not_case_sensitive(header: str) -> None:
    """As RFC 9110 has it."""
    assert await Access(FakeKeys({key_digest(KEY): principal()})).identify(header) == principal()


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound all is dropped, and asked for again."""
    monkeypatch.setattr(module, "MOST_REMEMBERED", 3)
    secrets = [make_key(bytes([number]) * 32) for number in range(5)]
    keys = FakeKeys({key_digest(secret): principal() for secret in secrets})
    access = Access(keys)
    for secret in secrets:
        await access.identify(f"Bearer {secret}")
        assert len(access._remembered) <= 3
    assert keys.asked == 5


def test_a_key_may_be_for_some_models_only() -> None:
    """By the model's id, whatever alias was asked for."""
    model = ChatModel("gpt-4o", TokenPrices(1, 1), 1000, 100)
    check_model(principal(), model)
    check_model(principal(models=frozenset({"gpt-4o"})), model)
    for models in (frozenset({"gpt-4.1"}), frozenset[str]()):
        with pytest.raises(ModelNotAllowed) as caught:
            check_model(replace(principal(), models=models), model)
        assert caught.value.param == "model"
