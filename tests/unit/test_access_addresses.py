"""Whose address it is: a header is believed as far as our own proxies wrote it."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.access import client_address, parse_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7:4711 ", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
    ],
)
def test_an_address_is_read_as_proxies_write_it(text: str, address: str) -> None:
    assert parse_address(text) == ip_address(address)


@pytest.mark.parametrize("text", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "[::1", "a:b", "\ud800"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None or text == "[::1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),  # who calls us directly is not believed
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),  # what stands further left is invented
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, unknown"], None),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("fd00::1", ["2001:db8::5"], "2001:db8::5"),
        ("", ["198.51.100.1"], None),
        ("testclient", ["198.51.100.1"], None),
    ],
)
def test_the_address_is_the_one_that_the_nearest_trusted_proxy_saw(
    peer: str, forwarded: list[str], address: str | None
) -> None:
    assert client_address(peer, forwarded, PROXIES) == (ip_address(address) if address else None)


def test_without_trusted_proxies_no_header_is_believed() -> None:
    assert client_address("10.0.0.1", ["198.51.100.1"], []) == ip_address("10.0.0.1")


@given(st.lists(st.text(max_size=40), max_size=4), st.ip_addresses(v=4))
def test_no_invention_of_a_client_changes_its_address(invented: list[str], real: object) -> None:
    if any(real in network for network in PROXIES if network.version == 4):
        return
    seen = client_address("10.0.0.1", [*invented, str(real)], PROXIES)
    assert seen == real
