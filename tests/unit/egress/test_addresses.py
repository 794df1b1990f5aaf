"""Which addresses are public, and how one is read."""

from __future__ import annotations

import pytest

from idp.egress import EgressRefused, is_public, read_address


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",  # noqa: S104 - the point of the test
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:8.8.8.8",
        "::ffff:127.0.0.1",
        "::7f00:1",
        "fe80::1",
        "fe80::1%1",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::",
        "3fff::1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::8.8.8.8",
        "no address",
    ],
)
def test_an_address_of_the_special_purpose_registry_is_not_public(address: str) -> None:
    """RFC 6890, RFC 6052 §3.1, law 7."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "113.160.0.1", "2606:4700::1111", "2400:cb00::1", "64:ff9b::8.8.8.8"]
)
def test_an_address_of_the_open_network_is_public(address: str) -> None:
    assert is_public(address)


def test_an_address_is_read_into_its_parts() -> None:
    address = read_address("https://portal.example:8443/logout/here?a=b")
    assert (address.scheme, address.host, address.port, address.target) == ("https", "portal.example", 8443, "/logout/here?a=b")
    assert address.origin == "https://portal.example:8443"
    assert read_address("https://portal.example").authority == "portal.example"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "gopher://portal.example/",
        "ftp://portal.example/",
        "//portal.example/",
        "HTTPS://portal.example/",
        "https://Portal.example/",
        "https://",
        "https:///path",
        "https://portal.example/a#b",
        "https://portal.example#b",
        "https://somebody@portal.example/",
        "https://somebody:secret@portal.example/",
        "https://portal.example\\@127.0.0.1/",
        "https://portal.example/\\",
        "https://portal.example /",
        "https://portal.example/a b",
        "https://portal.example/\r\nX: y",
        "https://portal.example/\n",
        "https://portal.example:0/",
        "https://portal.example:65536/",
        "https://portal.example:443:443/",
        "https://portal.example:/",
        "https://portal.example?x=y",
        "https://portal.example.:443/",
        "https://localhost./",
        "https://-portal.example/",
        "https://portal..example/",
        "https://cổng.example/",
        "https://127。0。0。1/",
        "https://[::1%25lo]/",
        "https://[::ffff:127.0.0.1/",
        "https://%31%32%37.0.0.1/",
        "https://portal.example/" + "a" * 2000,
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(url: str) -> None:
    """Law 7: the parser and the connection must agree, so there is one spelling."""
    with pytest.raises(EgressRefused):
        read_address(url)
