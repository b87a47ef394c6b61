"""The table of addresses: every private, special, translated and tunnelled form is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitoolai.integrations.addresses import is_public, parsed

INSIDE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1",
    "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:c0a8:101::1", "3fff::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
]  # fmt: skip
OUTSIDE = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
    "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001::1",
]  # fmt: skip


@pytest.mark.parametrize("text", INSIDE)
def test_inside(text: str) -> None:
    """None of these is the open Internet."""
    address = parsed(text)
    assert address is not None
    assert not is_public(address)


@pytest.mark.parametrize("text", OUTSIDE)
def test_outside(text: str) -> None:
    """These are, up to the edges of the networks beside them."""
    address = parsed(text)
    assert address is not None
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_no_more_than_the_standard_library(address: IPv4Address) -> None:
    """What `ipaddress` knows to be private or special is refused here as well."""
    if address.is_private or address.is_multicast or address.is_reserved or address.is_loopback:
        assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_inside_an_ipv6_one(address: IPv4Address) -> None:
    """An IPv4 address is refused in each of its IPv6 forms, whichever it is."""
    for form in ("::{0}", "::ffff:{0}", "64:ff9b::{0}", "64:ff9b:1::{0}"):
        assert not is_public(IPv6Address(form.format(address)))
    assert not is_public(IPv6Address((0x2002 << 112) | (int(address) << 80)))


def test_what_is_no_address() -> None:
    """Only what the system writes is one."""
    assert parsed("127.1") is None
    assert parsed("example.com") is None
    assert parsed("fe80::1%en0") == ip_address("fe80::1")
