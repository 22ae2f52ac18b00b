"""From versions to the rows that taught them, and from a row to the versions that it taught. Pure.

A row taught a version where one of the version's own steps, taken after the row had arrived, trained on the
row's query with one of the row's objects in its result lists, and the row stands before the end of the
version's evidence window. Guarantees that both directions agree: a row is told of a version exactly where
the version is told of the row. What it cannot tell: how much of a step's gradient one row was, for a reward
is made of all rows of its query together; nor which of two rows came first where the clocks of Redis and of
the learner differ by more than the time between a row's arrival and the step.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.learner.batches import BatchRecord, GroupRecord
from agent.learner.checkpoint import Place
from agent.learner.loss import leave_one_out
from feedback.delivery.stream_reading import arrival
from feedback.evidence.ledger import LedgerRow
from feedback.version_records import Manifest, Window

EVENTS = ("action", "refinement")
"""Kinds of rows that are told one by one; pages are only counted."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A ledger's row with where it stands."""

    partition: int
    entry_id: str
    row: LedgerRow

    @property
    def order(self) -> tuple[int, int]:
        """What rows are ordered by: their arrival."""
        return arrival(self.entry_id)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a version's own steps, those since its parent, trained on."""

    manifest: Manifest
    steps: int | None
    """Since its parent; None: the parent's manifest is gone."""
    kept: int
    """Of those, the ones whose record is kept."""
    seen: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Query -> object_id -> time of the last step that had both, Unix milliseconds."""
    pages: Mapping[str, int] = field(default_factory=dict)
    """Explore page's query_id -> time of the last step that learned from it itself."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Query -> see `weight_of`, summed over the steps."""
    groups: Mapping[str, int] = field(default_factory=dict)
    """Query -> groups of it, in all steps."""

    @property
    def version(self) -> int:
        """Its number."""
        return self.manifest.version

    def taught_by(self, found: Row) -> bool:
        """Tell whether the row taught one of the version's own steps."""
        if not before_end(self.manifest, found):
            return False
        of_query = self.seen.get(found.row.query, {})
        times = [of_query.get(object_id, -1) for object_id in objects_of(found.row)]
        times.append(self.pages.get(found.row.query_id, -1))
        return max(times) >= found.order[0]


def objects_of(row: LedgerRow) -> tuple[str, ...]:
    """Return the objects that a row tells of."""
    return (*row.object_ids, row.clicked) if row.clicked else row.object_ids


def before_end(manifest: Manifest, found: Row) -> bool:
    """Tell whether the row may have taught the version, by its window or by when it was made."""
    if not manifest.window:
        return found.order[0] <= manifest.made_at_ms
    window = manifest.window.get(str(found.partition), Window())
    return found.order <= arrival(window.last)


def in_window(manifest: Manifest, found: Row) -> bool:
    """Tell whether the row came between the version's parent and it."""
    window = manifest.window.get(str(found.partition), Window())
    return bool(window.first) and arrival(window.first) <= found.order <= arrival(window.last)


def before(entry_id: str) -> str:
    """Return the id just before another, so that what comes after it begins with the other."""
    at_ms, count = arrival(entry_id)
    return f"{at_ms}-{count - 1}" if count else f"{at_ms - 1}-{2**64 - 1}"


def weight_of(group: GroupRecord) -> float:
    """Return how strongly a group pulled, in the units of the factors of log pi in the loss.

    The mean over its own samples of the advantage's size (reward less the mean of the others), plus the
    weights of its verified rewrites (`agent.learner.loss`).
    """
    advantages = leave_one_out([one.reward for one in group.own])
    own = sum(map(abs, advantages)) / len(advantages) if advantages else 0.0
    return own + sum(one.weight for one in group.targets)


def learned_of(manifest: Manifest, steps: int | None, records: Iterable[BatchRecord]) -> Learned:
    """Return what a version's steps trained on, by the records of those that are kept."""
    seen: dict[str, dict[str, int]] = {}
    pages: dict[str, int] = {}
    weights: defaultdict[str, float] = defaultdict(float)
    groups: Counter[str] = Counter()
    kept = 0
    for record in records:
        kept += 1
        for group in record.groups:
            of_query = seen.setdefault(group.query, {})
            of_query |= {d: max(record.at_ms, of_query.get(d, 0)) for d in group.objects}
            weights[group.query] += weight_of(group)
            groups[group.query] += 1
        for page in record.pages:
            pages[page.query_id] = max(record.at_ms, pages.get(page.query_id, 0))
    return Learned(
        manifest=manifest, steps=steps, kept=kept, seen=seen, pages=pages, weights=weights, groups=groups
    )


def own_of(manifest: Manifest, manifests: Mapping[int, Manifest]) -> Manifest:
    """Return the version that was learned: of an older one under a new number, the older one."""
    return manifests.get(manifest.of, manifest)


def chain_of(manifest: Manifest, manifests: Mapping[int, Manifest]) -> tuple[list[Manifest], int]:
    """Return a version and what it was learned from, the newest first, and the first of them that is gone.

    Only those that were learned: an older one under a new number is told by the older one. The number is 0
    where the base model was reached.
    """
    chain: list[Manifest] = []
    passed: set[int] = set()
    at = manifest.version
    while at and at in manifests and at not in passed:
        passed.add(at)
        one = own_of(manifests[at], manifests)
        if not any(link.version == one.version for link in chain):
            chain.append(one)
        at = one.parent
    return chain, at if at not in manifests else 0


def places_of(manifest: Manifest, parent: Manifest | None, kept: Sequence[Place]) -> list[Place]:
    """Return the kept steps that may be a version's own, the newest first.

    Each update in the version's own line, else in the newest line before it that has it: the learner may have
    gone back in between. ``parent`` None: all since the base model; `is_own` then tells where to stop.
    """
    begun = parent.steps if parent else 0
    first_line = parent.line if parent else 0
    newest: dict[int, Place] = {}
    for line, update in sorted(kept):
        if first_line <= line <= manifest.line and begun < update <= manifest.steps:
            newest[update] = (line, update)
    return [newest[update] for update in sorted(newest, reverse=True)]


def is_own(record: BatchRecord, manifest: Manifest) -> bool:
    """Tell whether a step was taken between the version's parent and it, by what the step itself says."""
    return record.version == manifest.parent
