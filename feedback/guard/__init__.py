"""Who may teach: what a batch's records are held against before they become evidence.

Guarantees, where ``feedback.guard.enabled``:

- A client's pages of one query in one period (a day, UTC, by event time) count each object's examination
  once, and each action on an object once, across batches, restarts and repetitions: what has counted stands
  in the partition's slot and is written in the batch's own transaction. The row stays in the ledger, marked.
- An event counts for the client of its page alone.
- A client's clicks and pages beyond what a person does, and a network prefix's pages of one query beyond its
  floor and a multiple of its usual share, do not count. A page and its actions go together, so that no rate
  is bent by what is left out.
- A client in quarantine teaches nothing: its new records are dropped, and what its rows in the ledger taught
  is folded out of the evidence by the collector that owns the partition, in one transaction a partition. That
  pauses meanwhile, the others go on. The rows stay, so that a release puts it back; what links say of its
  pages and purchases until then changes its rows alone.
- Every record that does not count is counted by its reason (``dropped|<reason>``).

Not guaranteed: a client's pace is kept outside the partition's slot and written before the batch (set
members, harmless when repeated), so that it may count a batch that is then applied later. The learner is not
told to go back: what a ring taught its weights fades as other clicks come. A purchase that did not count
again can still be returned. Dense honest fans of one unknown thing look like a ring until others see it too.
"""
