"""What is made of a tenant's secret: page tokens, pseudonyms, client tokens, digests of networks.

Guarantees that keys of different uses and tenants are independent (HKDF, RFC 5869, with HMAC-SHA-256), and
that comparisons take the same time wherever the texts differ. Another secret makes other pseudonyms and
accepts no token of this one.
"""

import base64
import hmac
import secrets

from feedback.access.addresses import Address, network_of
from feedback.keys import Keys

MAC_BYTES = 10  # 80 bits: the least that RFC 2104, section 5, would have; guesses are made online
RANDOM_BYTES = 12
PSEUDONYM_BYTES = 15  # 24 characters of base32, none of them padding
NETWORK_BYTES = 8
DAY_MS = 86_400_000


class Signer:
    """Makes and checks what carries a tenant's MAC; stateless."""

    def __init__(self, secret: str, keys: Keys) -> None:
        self._keys = keys
        self._root = _mac(b"unseen", _bytes(secret))
        self._pages, self._clients, self._sessions, self._tokens, self._networks = (
            self._key(use) for use in ("pages", "clients", "sessions", "client tokens", "networks")
        )

    @property
    def fingerprint(self) -> str:
        """What tells two secrets apart and nothing more of them."""
        return self._key("fingerprint")[:8].hex()

    def query_id(self, user_query: str) -> str:
        """Return a fresh token of a page: its partition, 12 random bytes and their MAC, ``03-5f0c...``."""
        head = f"{self._keys.partition_of(user_query):02d}"
        nonce = secrets.token_hex(RANDOM_BYTES)
        return f"{head}-{nonce}{self._page_mac(head, nonce)}"

    def signed(self, query_id: str) -> bool:
        """Tell whether a query_id is one that `query_id` returned under this secret."""
        head, _, tail = query_id.partition("-")
        nonce, mac = tail[: 2 * RANDOM_BYTES], tail[2 * RANDOM_BYTES :]
        return _same(mac, self._page_mac(head, nonce)) and self._keys.partition_in(query_id) is not None

    def client(self, given: str) -> str:
        """Return the pseudonym of a client: of the shop's own id, or the one inside a token of ours."""
        return self.client_in(given) or _pseudonym(self._clients, given)

    def session(self, given: str) -> str:
        """Return the pseudonym of a session; of none, none."""
        return _pseudonym(self._sessions, given) if given else ""

    def client_token(self, pseudonym: str) -> str:
        """Return what a browser names its client by: the pseudonym and its MAC."""
        return f"{pseudonym}.{_mac(self._tokens, _bytes(pseudonym))[:MAC_BYTES].hex()}"

    def client_in(self, token: str) -> str:
        """Return the pseudonym inside a token of ours; empty: it is none."""
        pseudonym = token.partition(".")[0]
        return pseudonym if _same(token, self.client_token(pseudonym)) else ""

    def network(self, address: Address | None, now_ms: int) -> str:
        """Return the digest of an address's network today (UTC); of none, none."""
        if address is None:
            return ""
        salt = _mac(self._networks, str(now_ms // DAY_MS).encode())
        return _mac(salt, network_of(address))[:NETWORK_BYTES].hex()

    def anonymous(self, network: str) -> str:
        """Return the pseudonym of whoever in a network has no token; all of them are one."""
        return _pseudonym(self._networks, f"anonymous {network}")

    def _key(self, use: str) -> bytes:
        """Expand the root to the key of one use."""
        return _mac(self._root, f"{self._keys.tenant}|{use}\x01".encode())

    def _page_mac(self, head: str, nonce: str) -> str:
        return _mac(self._pages, _bytes(f"{self._keys.tenant}|{head}|{nonce}"))[:MAC_BYTES].hex()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # what is no text at all is an id that nobody has


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _pseudonym(key: bytes, text: str) -> str:
    return base64.b32encode(_mac(key, _bytes(text))[:PSEUDONYM_BYTES]).decode().lower()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(_bytes(one), _bytes(other))
