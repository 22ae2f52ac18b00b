"""One spelling for a query, wherever it is a key.

Guarantees that two queries which differ only in case, width, control characters or spacing are one
query. Does not stem, correct or translate: that is the search engine's and the policy's business.
"""

import hashlib
import unicodedata
from functools import lru_cache

MAX_QUERY_CHARS = 512
REMEMBERED = 4096
"""Texts by each function: the head of what is asked. Most others come once and only take memory."""


@lru_cache(REMEMBERED)
def normalise(user_query: str) -> str:
    """Return the query as it stands in keys: NFKC, case-folded, single spaces, no control characters."""
    text = _folded(user_query)
    while (again := _folded(text)) != text:  # one pass may compose what the next one folds
        text = again
    return text


def is_too_long(user_query: str) -> bool:
    """Tell whether a query is over the limit as typed or as a key: one ligature may stand for 18 letters."""
    return max(len(user_query), len(normalise(user_query))) > MAX_QUERY_CHARS


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    printable = "".join(" " if unicodedata.category(c).startswith("C") else c for c in folded)
    return " ".join(printable.split())


@lru_cache(REMEMBERED)
def digest(text: str) -> str:
    """Return 16 hexadecimal characters that stand for the text in a key, which is asked about again."""
    return stamp(text.encode())


def stamp(content: bytes) -> str:
    """Return 16 hexadecimal characters that stand for what is long, or is asked about once."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


@lru_cache(REMEMBERED)
def bucket(text: str, buckets: int, *, salt: str = "") -> int:
    """Return a stable bucket in [0, buckets) for the text; other salts give independent buckets."""
    raw = hashlib.blake2b(text.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(raw, "big") % buckets


def trigrams(text: str) -> frozenset[str]:
    """Return the character trigrams of the text, padded by two spaces at both ends."""
    padded = f"  {text}  "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the Jaccard similarity of two sets of trigrams, in [0, 1]."""
    union = len(one | other)
    return len(one & other) / union if union else 0.0
