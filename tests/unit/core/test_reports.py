"""Who may see whose calls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minitoolai.core.errors import OthersCalls
from minitoolai.core.reports import Scope
from tests.support.fakes import ACCOUNT_ID, KEY_ID, principal


def test_a_key_sees_its_own_calls() -> None:
    """Asked for or not; another's are refused."""
    assert Scope.of(principal()) == Scope.of(principal(), KEY_ID) == Scope(ACCOUNT_ID, KEY_ID)
    with pytest.raises(OthersCalls) as caught:
        Scope.of(principal(), KEY_ID + 1)
    assert caught.value.param == "key_id"


def test_an_owner_sees_the_account_or_one_of_its_keys() -> None:
    """A key of another account leads to nothing: the account stays in the scope."""
    owner = replace(principal(), owner=True)
    assert Scope.of(owner) == Scope(ACCOUNT_ID, None)
    assert Scope.of(owner, KEY_ID + 1) == Scope(ACCOUNT_ID, KEY_ID + 1)
