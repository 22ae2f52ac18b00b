"""Whose address a request comes from, and the part of it that is used. Pure.

Guarantees that a header is believed only as far as trusted proxies wrote it, and that no more than the
network of an address goes any further.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
V4_BYTES, V6_BYTES = 3, 6  # /24 and /48: what one household or firm commonly has


def parse_address(text: str) -> Address | None:
    """Return the address, without a port and with IPv4 out of its IPv6 clothes; None where it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # IPv4 and a port, as some proxies write it
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """Return the address that the nearest trusted proxy saw; None where that cannot be told.

    Args:
        peer: who holds the connection.
        forwarded: values of `X-Forwarded-For`, in the order of the request; each proxy appended the address
            that it was called from.
        trusted: networks of our own proxies. What stands to the left of the last one that is none of these
            may be anybody's invention.
    """
    address = parse_address(peer)
    hops = [hop for value in forwarded for hop in value.split(",")]
    while address is not None and hops and any(address in network for network in trusted):
        address = parse_address(hops.pop())
    return address


def network_of(address: Address) -> bytes:
    """Return the network prefix: /24 of IPv4, /48 of IPv6."""
    return address.packed[: V4_BYTES if address.version == 4 else V6_BYTES]  # noqa: PLR2004 - IP's versions
