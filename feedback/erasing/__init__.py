"""Forgetting a client: every trace in the state goes, and what it taught is undone.

Promised, once `Eraser.erase` and `Eraser.finish` have returned:

- No key, field, member, value or stream entry of the tenant holds the client's id or its digest: ledger rows
  with what its sessions asked before, entries not yet read, dead letters, pages and events that wait, explore
  records, sessions, its pace, its quarantine, dedupe ids, its account of clicks and purchases and what it
  came to on pages.
- The evidence is that of a shop where the client never was, to rounding, if the curve of ranks is the one
  that the others' rows were counted with: each field that the client's rows touched is folded again from the
  others' rows, with the curve of now. What rows older than the ledger gave cannot be told apart: it stays,
  the client's part of it too. A hash that was at its bound may hold other members of little weight.
- The verifier and the learner see each query that the client touched as one with new evidence, and the
  learner is told to go back to before the client's first row.
- Killed at any point, it is finished by running it again. Each partition changes in one transaction; a mark
  that names nobody keeps since when learning must be undone.

Not promised: the counters of dropped records and of what became of orders, and the time of the newest
click, stay. So does what a purchase gave of which the taking back alone is left in the ledger, which
forgets days. A query that only this client asked stays by its words where a verdict stands on it, until the
verifier withdraws that, and then as a name in the verifier's and the evidence's order. Dedupe ids stay
unless they hold the client's id: they are random, and without them a repeated event would count; so does what
has counted of its day with a query, under a digest of both, until it expires. A session id is taken to be of
one client: its session is forgotten whole. How first pages were searched, and which one a client saw last of
a query (``pinned`` and ``first``, in the cache, by digests), goes with its time,
``serve.pin_ttl_s``. What arrives afterwards is new. Redis's own files keep what was
until they are rewritten.
"""

from feedback.erasing.eraser import Eraser
from feedback.erasing.summary import Erasure
from feedback.erasing.versions import goes_back_to, taught

__all__ = ["Eraser", "Erasure", "goes_back_to", "taught"]
