"""`minitoolai key create`, `set` and `list`: every term of a key, given, changed, taken away, and refused with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.test_commands import refused
from tests.support.databases import PostgresForTests, open_folder
from tests.support.servers import ProductServer, product_server

TERMS = {
    "--name": ("bot", "name", "bot", ""),
    "--limit": ("0.5", "limit", "0.5", None),
    "--models": ("gpt-4o,gpt-4o-mini", "models", ["gpt-4o", "gpt-4o-mini"], None),
    "--expires": ("2099-01-31T12:00+02:00", "expires", "2099-01-31T10:00:00Z", None),
    "--addresses": ("203.0.113.0/24, 2001:db8::1", "addresses", ["203.0.113.0/24", "2001:db8::1/128"], None),
    "--requests-per-minute": ("60", "requests_per_minute", 60, None),
    "--tokens-per-minute": ("9007199254740992", "tokens_per_minute", 2**53, None),
}

#: Options of `key set` that are refused, and a word of the remedy.
REFUSED: list[tuple[list[str], str]] = [
    ([], "--limit 5"),
    (["--limit", "-1"], "amount"),
    (["--limit", "five"], "amount"),
    (["--models", "gpt-9"], "gpt-4.1-nano"),
    (["--models", ","], "gpt-4.1-nano"),
    (["--expires", "soon"], "2027"),
    (["--expires", "2001-01-01"], "passed"),
    (["--addresses", "203.0.113.7/24"], "host bits"),
    (["--addresses", "example.org"], "203.0.113.0/24"),
    (["--addresses", ","], "203.0.113.0/24"),
    (["--requests-per-minute", "0"], "from 1"),
    (["--requests-per-minute", "2147483648"], "2147483647"),
    (["--tokens-per-minute", "-5"], "from 1"),
    (["--tokens-per-minute", "1e3"], "from 1"),
    (["--name", "x" * 201], "200"),
]


@pytest.fixture(scope="module")
def product(embedded_server: PostgresForTests) -> Iterator[ProductServer]:
    """An installation whose database runs, and whose server does not."""
    with open_folder() as folder, embedded_server.database() as url, product_server(folder, url) as server:
        server.json("account", "create", "owner")
        yield server


def new_key(product: ProductServer, *options: str) -> str:
    """Make a key; return its id."""
    return str(product.json("key", "create", "--account", "owner", *options)["id"])


def shown(product: ProductServer, key: str) -> dict[str, Any]:
    """Return a key as `key list` shows it."""
    found: dict[str, Any] = next(row for row in product.json("key", "list") if str(row["id"]) == key)
    return found


def test_a_key_is_made_with_all_its_terms(product: ProductServer) -> None:
    """As `key list` shows them afterwards, in both its forms."""
    options = [part for option, (value, *_) in TERMS.items() for part in (option, value)]
    key = new_key(product, *options, "--limit-reset", "day", "--owner")
    row = shown(product, key)
    assert {name: row[name] for _, name, _, _ in TERMS.values()} == {name: value for _, name, value, _ in TERMS.values()}
    assert (row["owner"], row["limit_reset"], row["state"], row["spent_in_period"]) == (True, "day", "active", "0")
    assert row["resets_at"].endswith("T00:00:00Z")
    text = product.command("key", "list", "--account", "owner").stdout
    for word in (
        "0.5 a day",
        "owner",
        "models=gpt-4o,gpt-4o-mini",
        "addresses=203.0.113.0/24",
        "requests/min=60",
        "until=2099",
    ):
        assert word in text


def test_every_term_can_be_changed_and_taken_away(product: ProductServer) -> None:
    """One by one; `none` takes it away; the others stay."""
    key = new_key(product)
    plain = shown(product, key)
    for option, (value, name, there, gone) in TERMS.items():
        assert product.json("key", "set", key, option, value) == {**plain, name: there}
        assert product.json("key", "set", key, option, "none") == {**plain, name: gone}
    assert product.json("key", "set", key, "--owner", "yes")["owner"] is True
    assert product.json("key", "set", key, "--owner", "no") == plain
    assert product.json("key", "set", key, "--limit", "1", "--limit-reset", "month")["limit_reset"] == "month"
    assert product.json("key", "set", key, "--limit", "none", "--limit-reset", "never") == plain
    assert f"changed key {key}" in product.command("key", "set", key, "--name", "new").stdout


def test_what_is_no_term_is_refused(product: ProductServer) -> None:
    """With one line that names the remedy; nothing was changed."""
    key = new_key(product)
    plain = shown(product, key)
    for options, word in REFUSED:
        given = [f"{options[0]}={options[1]}"] if options else []
        assert word in refused(product, "key", "set", key, *given)
    assert shown(product, key) == plain


def test_what_makes_no_sense_is_refused(product: ProductServer) -> None:
    """A reset without a limit, a key that is not there, a word that is no reset."""
    assert "--limit" in refused(product, "key", "create", "--account", "owner", "--limit-reset", "day")
    assert "key list" in refused(product, "key", "set", "999999", "--limit", "1")
    no_reset = refused(product, "key", "set", "1", "--limit-reset", "year", status=2)
    assert "invalid choice" in no_reset
    assert "LimitReset" not in no_reset
