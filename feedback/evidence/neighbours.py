"""A copy of the verifier's verdicts and terms in the process, and the asked queries nearest to a new one.

Follows the verifier's sequence numbers, so that a refresh reads only what changed. Safe to read from other
threads while one refreshes. Similarity is the Jaccard similarity of character trigrams.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import msgspec
import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis

from feedback.evidence.reading import of_field, query_field
from feedback.keys import Keys
from feedback.records import LendingTerms, Verified
from feedback.text import normalise, trigrams

SORTED = 256
"""Of the similar queries, how many are put in order before more are."""
REFRESH_BATCH = 2000
"""Verdicts read in one round trip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """An asked query with its verdict."""

    verified: Verified
    similarity: float
    """In [0, 1]."""


class VerifiedIndex:
    """Every verdict, by query and by trigram; one to three thousand bytes a query."""

    def __init__(self) -> None:
        self.seq = 0
        """The verifier's sequence number that this copy has come to."""
        self.puts = 0
        """How often a verdict was set or taken out: tells two states of the copy apart."""
        self.terms = LendingTerms()
        """On which its queries lend."""
        self._lock = threading.Lock()
        self._slots: dict[str, int] = {}
        self._verdicts: list[Verified | None] = []
        self._sizes: list[int] = []
        self._postings: defaultdict[str, list[int]] = defaultdict(list)
        self._arrays: dict[str, NDArray[np.intp]] = {}
        self._last: tuple[str, int, NDArray[np.float64]] = "", -1, np.empty(0)

    def __len__(self) -> int:
        return sum(verdict is not None for verdict in self._verdicts)

    def verdicts(self) -> list[Verified]:
        """Return all verdicts, in no order that means anything."""
        with self._lock:
            return [verdict for verdict in self._verdicts if verdict is not None]

    async def refresh(self, redis: Redis, keys: Keys) -> int:
        """Read the verdicts that changed since the last call; return how many.

        Raises:
            redis errors as they come: the copy holds what was read until then, and the caller decides.
        """
        changed = 0
        while batch := await self._newer(redis, keys):
            names = [name for name, _ in batch]
            for name, stored in zip(names, await redis.hmget(keys.verified(), names), strict=True):
                self.put(name.decode(), msgspec.json.decode(stored, type=Verified) if stored else None)
            self.seq = int(batch[-1][1])
            changed += len(batch)
        self.terms = LendingTerms.read(await redis.get(keys.lending()))
        return changed

    async def _newer(self, redis: Redis, keys: Keys) -> list[tuple[bytes, float]]:
        order = keys.verified_order()
        reply = await redis.zrangebyscore(
            order, f"({self.seq}", "+inf", start=0, num=REFRESH_BATCH, withscores=True
        )
        return cast("list[tuple[bytes, float]]", reply)

    def put(self, name: str, verdict: Verified | None) -> None:
        """Set the verdict of ``segment|query``; None takes it out."""
        with self._lock:
            if verdict is None and name not in self._slots:
                return
            self.puts += 1
            slot = self._slots.setdefault(name, len(self._verdicts))
            if slot == len(self._verdicts):
                self._verdicts.append(None)
                self._sizes.append(0)
                self._arrays.pop("", None)
            if verdict is not None and verdict.settled and not self._sizes[slot]:
                self._post(slot, name)
            self._verdicts[slot] = verdict

    def _post(self, slot: int, name: str) -> None:
        """Let a query be found by its trigrams, once it has a verdict of its own."""
        grams = trigrams(of_field(name)[1])
        self._sizes[slot] = len(grams)
        self._arrays.pop("", None)
        for gram in grams:
            self._postings[gram].append(slot)
            self._arrays.pop(gram, None)

    def get(self, query: str, segment: str = "all") -> Verified | None:
        """Return the verdict on a query; its text may be empty: nothing to add."""
        slot = self._slots.get(query_field(segment, normalise(query)))
        return None if slot is None else self._verdicts[slot]

    def nearest(
        self,
        query: str,
        *,
        k: int,
        min_similarity: float = 0.0,
        segment: str = "all",
        with_text: bool = False,
    ) -> list[Neighbour]:
        """Return the k asked queries most like this one, most like it first, ties by their text.

        Never the query itself. ``min_similarity`` is exclusive; queries without a common trigram never
        count. ``with_text`` leaves out those whose verdict is to add nothing.
        """
        own = normalise(query)
        with self._lock:
            similarity = self._similarities(own)
            found: list[Neighbour] = []
            for slot in self._ordered(similarity, min_similarity, k):
                verdict = self._verdicts[slot]
                if verdict is None or not _counts(verdict, own, segment):
                    continue
                if verdict.text or not with_text:
                    found.append(Neighbour(verified=verdict, similarity=float(similarity[slot])))
                if len(found) > k and found[-1].similarity < found[k - 1].similarity:
                    break
        return sorted(found, key=lambda n: (-n.similarity, n.verified.query))[:k]

    def _similarities(self, query: str) -> NDArray[np.float64]:
        if self._last[:2] == (query, self.puts):  # one search asks several times
            return self._last[2]
        grams = trigrams(query)
        held = [self._array(gram) for gram in grams if gram in self._postings]
        hits = np.concatenate(held) if held else np.empty(0, dtype=np.intp)
        common = np.bincount(hits, minlength=len(self._sizes))
        similarity: NDArray[np.float64] = common / np.maximum(self._all_sizes() + len(grams) - common, 1)
        self._last = query, self.puts, similarity
        return similarity

    @staticmethod
    def _ordered(similarity: NDArray[np.float64], above: float, k: int) -> Iterator[int]:
        """Yield the slots, most similar first; those near the top alone are sorted at once."""
        slots = np.flatnonzero(similarity > max(above, 0.0)) if k > 0 else np.empty(0, dtype=np.intp)
        while len(slots):
            found = similarity[slots]
            cut = np.partition(found, -SORTED)[-SORTED] if len(slots) > SORTED else 0.0
            top = slots[found >= cut]
            yield from top[np.argsort(-similarity[top], kind="stable")].tolist()
            slots = slots[found < cut]

    def _array(self, gram: str) -> NDArray[np.intp]:
        if gram not in self._arrays:
            self._arrays[gram] = np.asarray(self._postings[gram], dtype=np.intp)
        return self._arrays[gram]

    def _all_sizes(self) -> NDArray[np.intp]:
        if "" not in self._arrays:
            self._arrays[""] = np.asarray(self._sizes, dtype=np.intp)
        return self._arrays[""]


def _counts(verdict: Verified, own: str, segment: str) -> bool:
    return verdict.settled and verdict.query != own and verdict.segment == segment
