"""What is wrong with a version's words, whatever they earn. Pure.

A reward can be gamed; these figures use nothing that it uses: how long the rewrites are, how much they
repeat, whether one word stands in too many of them, whether their words are words.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

_VOWEL = re.compile(r"[aeiouy]")
LONGEST_WORD = 24
"""Letters; longer strings are no words of a query."""
FEW_LETTERS = 3
"""Words of so many letters at most (tv, mp3, xs) need no vowel."""


def text_figures(texts: Mapping[str, str]) -> dict[str, float]:
    """Return the figures of rewrites by query.

    ``silent``: share of empty rewrites. Of the others: ``words``: mean number; ``most_words``: the 95th
    percentile; ``repeated``: share of words that stand earlier in the rewrite already; ``same``:
    share of rewrites that hold the most frequent word that their queries do not; ``odd``: share of words that
    are none.
    """
    spoken = {query: text.lower().split() for query, text in texts.items() if text.strip()}
    lengths = sorted(len(words) for words in spoken.values())
    total = sum(lengths)
    return {
        "silent": 1 - len(spoken) / len(texts) if texts else 0.0,
        "words": total / len(spoken) if spoken else 0.0,
        "most_words": float(lengths[int(0.95 * (len(lengths) - 1))]) if lengths else 0.0,
        "repeated": sum(map(_repeated, spoken.values())) / total if total else 0.0,
        "same": _same(spoken),
        "odd": sum(is_odd(word) for words in spoken.values() for word in words) / total if total else 0.0,
    }


def is_odd(word: str) -> bool:
    """Tell whether something is no word: symbols, emojis, endless, or letters without a vowel."""
    letters = [c for c in word if c.isalnum()]
    if not letters or len(word) > LONGEST_WORD:
        return True
    if any(unicodedata.category(c) in {"So", "Sk", "Cn", "Co", "Cs"} for c in word):
        return True
    latin = all(c.isascii() for c in letters)
    alphabetic = "".join(c for c in letters if c.isalpha())
    return latin and len(alphabetic) > FEW_LETTERS and not _VOWEL.search(alphabetic)


def _repeated(words: Sequence[str]) -> int:
    seen, n = set[str](), 0
    for word in words:
        n += word in seen
        seen.add(word)
    return n


def _same(spoken: Mapping[str, Sequence[str]]) -> float:
    """Return the share of rewrites with the word that most of them hold; one rewrite tells nothing."""
    if len(spoken) < 2:  # noqa: PLR2004 - see there
        return 0.0
    counts = Counter(
        word for query, words in spoken.items() for word in set(words) - set(query.lower().split())
    )
    return max(counts.values(), default=0) / len(spoken)
