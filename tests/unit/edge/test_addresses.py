"""Who a caller is: the connection's peer, or what proxies say that the operator trusts, and nobody else."""

from __future__ import annotations

import pytest

from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.edge.addresses import MOST_HOPS, caller_address, parse_networks
from minitoolai.runtime.config import load_settings

TRUSTED = parse_networks(["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"], "test")


@pytest.mark.parametrize("peer", ["203.0.113.7", "192.168.0.1", "2001:db8:2::1"])
def test_a_stranger_is_not_believed(peer: str) -> None:
    """Whatever it says, it is itself; nobody is trusted unless the operator says so."""
    assert caller_address(peer, ["198.51.100.1"], TRUSTED) == peer
    assert caller_address("10.0.0.1", ["198.51.100.1"], ()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ([], "127.0.0.1"),
        (["203.0.113.7"], "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        (["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        (["198.51.100.1,203.0.113.7 , 10.1.1.1, 10.2.2.2"], "203.0.113.7"),
        (["203.0.113.7", "10.1.1.1"], "203.0.113.7"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        (["2001:db8:2::1, 2001:db8:1::5"], "2001:db8:2::1"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8:2::1]:4711"], "2001:db8:2::1"),
        (["[2001:db8:2::1]"], "2001:db8:2::1"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["nonsense, 203.0.113.7"], "203.0.113.7"),
    ],
)
def test_the_last_hop_that_is_not_trusted_is_the_caller(forwarded: list[str], address: str) -> None:
    """What stands left of it was written by the caller and is not looked at."""
    assert caller_address("127.0.0.1", forwarded, TRUSTED) == address


@pytest.mark.parametrize(
    "forwarded",
    ["", " ", ",", "nonsense", "203.0.113.7, nonsense", "203.0.113.7,", "203.0.113.7, ", "203.0.113", "0x7f000001",
     "203.0.113.07", "localhost", "unknown", "_hidden", "[", "[]:80", ":80", "for=203.0.113.7",
     "203.0.113.7/24", "２０３.0.113.7"],
)  # fmt: skip
def test_a_malformed_line_is_the_peers_own(forwarded: str) -> None:
    """The proxy that sent it is taken for the caller, never a part of what could be read."""
    assert caller_address("127.0.0.1", [forwarded], TRUSTED) == "127.0.0.1"


def test_a_long_chain_is_looked_at_from_its_end() -> None:
    """So a header of 32 KiB costs no time."""
    hops = ["203.0.113.7", *["10.0.0.1"] * 5000]
    assert caller_address("127.0.0.1", [",".join(hops)], TRUSTED) == "10.0.0.1"
    assert caller_address("127.0.0.1", [",".join(hops[:MOST_HOPS])], TRUSTED) == "203.0.113.7"


@pytest.mark.parametrize(
    ("peer", "address"), [(None, None), ("", ""), ("testclient", "testclient"), ("::ffff:203.0.113.7", "203.0.113.7"),
                          ("::1", "::1"), ("::ffff:10.0.0.1", "198.51.100.1")]
)  # fmt: skip
def test_a_peer_of_any_form(peer: str | None, address: str | None) -> None:
    """IPv4 that came over an IPv6 socket is IPv4; a peer that has no address has none."""
    assert caller_address(peer, ["198.51.100.1"], TRUSTED) == address


@pytest.mark.parametrize("text", ["10.0.0.1/8", "nonsense", "", "10.0.0.0/33"])
def test_what_is_no_network_stops_the_start(text: str) -> None:
    """The message names the setting and the text."""
    with pytest.raises(ConfigInvalid) as caught:
        parse_networks(["10.0.0.0/8", text], "server.trusted_proxies")
    assert caught.value.message.startswith(f"server.trusted_proxies: '{text}'")
    with pytest.raises(ConfigInvalid) as caught:
        load_settings({"MINITOOLAI_SERVER__TRUSTED_PROXIES": f'["{text}"]'})
    assert f"server.trusted_proxies: '{text}'" in caught.value.message
