"""Words and stems, as the catalogue's English analysis sees them, near enough for baselines and clusters."""

import re
from functools import lru_cache

import snowballstemmer

from feedback.text import normalise

_LUCENE = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these "
    "they this to was will with"
)
STOP_WORDS = frozenset(_LUCENE.split())
"""Lucene's English stop words."""
_WORD = re.compile(r"\w+")
_STEMMER = snowballstemmer.stemmer("english")


def words(text: str) -> list[str]:
    """Return the words in order, lower case, without stop words."""
    return [w for w in _WORD.findall(normalise(text)) if w not in STOP_WORDS]


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """Return the word's English stem."""
    return str(_STEMMER.stemWord(word))


def stems(text: str) -> frozenset[str]:
    """Return the stems of a text's words."""
    return frozenset(map(stem, words(text)))
