"""Names of hosts, and addresses that look like one."""

from __future__ import annotations

import pytest

from minitoolai.core.host_names import is_host_name


@pytest.mark.parametrize(
    "host",
    [
        "a", "localhost", "example.com", "example.com.", "a-b.example", "_told.example", "xn--80ak6aa92e.example",
        "1.example", "127.0.0.1.example", "0x7f.example", "a.0b1", "x" * 63 + ".example", ".".join(["a" * 49] * 5),
    ],
)  # fmt: skip
def test_names(host: str) -> None:
    """What DNS could know is a name, numbers in all parts but the last included."""
    assert is_host_name(host)


@pytest.mark.parametrize(
    "host",
    [
        "", ".", "a..b", ".a", "127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0x",
        "0177.0.0.1", "a.1", "a.0xff", "::1", "[::1]", "a b", "a%31", "a@b", "a\\b", "ą.example", "１２７.０.０.１", "a\n",
        "A", "x" * 64 + ".example", ".".join(["a" * 50] * 5),
    ],
)  # fmt: skip
def test_what_is_no_name(host: str) -> None:
    """Addresses in any writing are none, nor what has parts that are empty, too long, or of other characters."""
    assert not is_host_name(host)
