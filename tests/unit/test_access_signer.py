"""Tokens, pseudonyms and digests: what only the secret's holder can make."""

import base64
import hashlib
import hmac
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.access import Signer
from feedback.keys import Keys

KEYS = Keys(tenant="shop", partitions=8)
SECRET, OTHER = "a" * 32, "b" * 32
SIGNER = Signer(SECRET, KEYS)
DAY_MS = 86_400_000


def derived(label: bytes) -> bytes:
    """Return HKDF's first block (RFC 5869, 2.2 and 2.3), spelled out."""
    root = hmac.new(b"unseen", SECRET.encode(), hashlib.sha256).digest()
    return hmac.new(root, b"shop|" + label + b"\x01", hashlib.sha256).digest()


def test_a_page_s_token_is_its_partition_12_random_bytes_and_80_bits_of_their_mac() -> None:
    token = SIGNER.query_id("Couch")
    head, _, tail = token.partition("-")
    assert int(head) == KEYS.partition_of("couch") == KEYS.partition_in(token)
    signed = f"shop|{head}|{tail[:24]}".encode()
    assert tail[24:] == hmac.new(derived(b"pages"), signed, hashlib.sha256).hexdigest()[:20]
    assert len(token) == 47  # of 100 that UBI lets it have
    assert SIGNER.signed(token)
    assert SIGNER.query_id("Couch") != token


@given(st.integers(0, 46), st.sampled_from("0123456789abcdef-A"))
def test_a_token_with_one_character_changed_is_none(place: int, character: str) -> None:
    token = SIGNER.query_id("couch")
    forged = token[:place] + character + token[place + 1 :]
    assert SIGNER.signed(forged) == (forged == token)


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_no_text_is_a_token(text: str) -> None:
    assert not SIGNER.signed(text)
    assert SIGNER.client_in(text) == ""


def test_tokens_of_another_secret_or_tenant_or_of_the_same_in_other_letters_are_none() -> None:
    token = SIGNER.query_id("couch")
    assert not Signer(OTHER, KEYS).signed(token)
    assert not Signer(SECRET, Keys(tenant="store", partitions=8)).signed(token)
    assert not SIGNER.signed(token.upper()) or token.upper() == token
    assert not SIGNER.signed(token + "0")
    assert not SIGNER.signed(token[:-1])
    arabic = "".join(chr(0x660 + int(digit)) for digit in token[:2])  # decimal digits, but not those signed
    assert not SIGNER.signed(arabic + token[2:])


def test_a_token_of_a_partition_that_is_no_more_is_none() -> None:
    many = Signer(SECRET, Keys(tenant="shop", partitions=99))
    tokens = [many.query_id(f"query {i}") for i in range(50)]
    for token in tokens:
        assert many.signed(token)
        assert SIGNER.signed(token) == (int(token[:2]) < 8)


def test_a_client_s_pseudonym_is_a_mac_and_stays() -> None:
    known = SIGNER.client("ann@example.com")
    mac = hmac.new(derived(b"clients"), b"ann@example.com", hashlib.sha256).digest()
    assert known == base64.b32encode(mac)[:24].decode().lower()
    assert SIGNER.client("ann@example.com") == known
    assert len({known, SIGNER.client("bob"), SIGNER.session("ann@example.com"), "ann@example.com"}) == 4
    assert known != Signer(OTHER, KEYS).client("ann@example.com")
    assert known != Signer(SECRET, Keys(tenant="store")).client("ann@example.com")
    assert SIGNER.session("") == ""


def test_a_client_token_names_its_pseudonym_and_can_stand_for_the_client() -> None:
    known = SIGNER.client("ann")
    token = SIGNER.client_token(known)
    assert SIGNER.client_in(token) == SIGNER.client(token) == known
    assert len(token) <= 128
    assert SIGNER.client_in(known) == SIGNER.client_in("") == SIGNER.client_in("ann") == ""
    assert SIGNER.client(known) != known  # a bare pseudonym is an id like any other
    bob = SIGNER.client_token(SIGNER.client("bob"))
    assert SIGNER.client_in(known + bob[24:]) == ""
    assert Signer(OTHER, KEYS).client_in(token) == ""


def test_a_page_s_mac_is_no_client_s_and_the_other_way_round() -> None:
    assert not SIGNER.signed(SIGNER.client_token(SIGNER.client("ann")))
    assert SIGNER.client_in(SIGNER.query_id("couch")) == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8:1::1", "2001:db8:1:ffff::2", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
    ],
)
def test_addresses_of_one_network_are_one_for_a_day(one: str, other: str, *, same: bool) -> None:
    first, second = (SIGNER.network(ip_address(text), DAY_MS) for text in (one, other))
    assert (first == second) is same
    assert first == SIGNER.network(ip_address(one), 2 * DAY_MS - 1)
    assert first != SIGNER.network(ip_address(one), 2 * DAY_MS)
    assert first != Signer(OTHER, KEYS).network(ip_address(one), DAY_MS)
    assert len(first) == 16


def test_no_address_is_no_network() -> None:
    assert SIGNER.network(None, DAY_MS) == ""


def test_whoever_is_anonymous_in_one_network_is_one_client() -> None:
    assert SIGNER.anonymous("n") == SIGNER.anonymous("n") != SIGNER.anonymous("m")
    assert SIGNER.anonymous("n") not in {SIGNER.client("n"), SIGNER.client("anonymous n")}


def test_a_fingerprint_tells_secrets_apart() -> None:
    assert SIGNER.fingerprint == Signer(SECRET, KEYS).fingerprint != Signer(OTHER, KEYS).fingerprint
