"""Which version the gate judges next, on what, and the verdict.

Guarantees that a version is judged on events that came after its evidence window and after the last verdict,
that one which cannot be loaded is refused at once, and that a catalogue that is away judges nobody.
"""

from bisect import bisect_right
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

import structlog

from agent.errors import BadWeights
from agent.policy.prompt import Prompt
from agent.release.desk import Scene
from agent.release.examining import Compared
from agent.release.fresh import Arrived, Folding, Slice, clicks_by_query, folded
from agent.release.gate import Verdict, judge, unsound
from agent.release.parts import Parts
from agent.release.worth import Known, snapshots
from agent.scoring import prompt_for
from agent.scoring.explored import read_explored
from feedback.delivery.stream_reading import BEFORE_ALL, arrival, arrival_now
from feedback.evidence.clusters import Clusters
from feedback.evidence.ledger_tail import LedgerTail
from feedback.evidence.left_out import left_out
from feedback.evidence.reading import QueryEvidence, load_decay, of_field, query_field
from feedback.examination.ranks import RankReader
from feedback.records import Explored
from feedback.version_records import Manifest, State, Window

log = structlog.get_logger()
POPULAR = 20_000


class Gatekeeper:
    """Follows the ledger's rows of held-back queries."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._clusters = Clusters(parts.settings.learner.held_back_share)
        self._slice = Slice(self._clusters.held_back)
        self._ranks = RankReader(parts.redis, parts.settings.keys, parts.settings.feedback, parts.clock)
        self._tail: LedgerTail | None = None
        self._sound: dict[int, Manifest] = {}
        """Of versions that were loaded once."""

    async def follow(self, scene: Scene) -> None:
        """Read what came since."""
        if self._tail is None:
            self._tail = self._parts.tail(await self._beginning(scene))
        async for partition, entry_id, row in self._tail.read():
            self._slice.add(Arrived(partition=partition, entry_id=entry_id, row=row))
        self._slice.left_out = await left_out(self._parts.redis, self._parts.settings.keys)

    async def _beginning(self, scene: Scene) -> dict[str, str]:
        """Return, by partition, the row behind which rows may judge a version that was made or will be."""
        judged = await self._parts.registry.judged()
        made = [await self._parts.registry.manifest(n) for n in scene.in_state(State.MADE)]
        now = await arrival_now(self._parts.redis)
        return {
            p: max(
                judged.get(p, BEFORE_ALL),
                min((_end(one, p) for one in made), key=arrival, default=now),
                key=arrival,
            )
            for p in map(str, range(self._parts.settings.keys.partitions))
        }

    async def unsound(self, scene: Scene) -> tuple[int, Verdict] | None:
        """Return a version that is not to be judged at all, with the verdict on it; None where there is none.

        It cannot be loaded, or was learned by way of one that was rolled back.
        """
        new = [version for version in scene.in_state(State.MADE) if version not in self._sound]
        by_number = {one.version: one for one in await self._parts.registry.versions()} if new else {}
        for version in (one for one in new if one in by_number):
            bad = revoked_ancestor(by_number[version], by_number, scene.revoked)
            if bad:
                return version, unsound(f"it was learned by way of version {bad}, which was rolled back")
            try:
                await self._parts.examiner.state(by_number[version])
            except BadWeights as error:
                return version, unsound(str(error))
            self._sound[version] = by_number[version]
        return None

    async def next(self, scene: Scene) -> Manifest | None:
        """Return the newest version that there are enough new events for."""
        made = [
            await self._parts.registry.manifest(n) for n in scene.in_state(State.MADE) if n in self._sound
        ]
        made = [one for one in made if not one.of]  # an older adapter whose promotion was interrupted
        if self._parts.settings.release.gate_clicks == 0:
            return made[-1] if made else None
        # an older version's new events include a newer one's
        ready = bisect_right(made, 0, key=lambda one: 0 if self._enough(self._slice.after(one.window)) else 1)
        return made[ready - 1] if ready else None

    async def judge(self, manifest: Manifest, serving: Manifest | None, anchor: Manifest | None) -> Verdict:
        """Return the verdict on a version; raises SearchFailed where the catalogue gives no answer."""
        parts = self._parts
        await parts.index.refresh(parts.redis, parts.settings.keys)
        new = self._slice.after(manifest.window)
        queries = await self._queries(new)
        known = replace(await self._known(new, queries), explored=await self._explored(manifest))
        totals = await parts.evidence.totals()
        compared = Compared(candidate=manifest, serving=serving, anchor=anchor)
        try:
            shown = await parts.examiner.examine(
                compared, self._prompts(queries), snapshots(known, totals, parts.settings), parts.catalogue
            )
        except (BadWeights, ValueError, RuntimeError) as error:  # torch's own, of weights out of all bounds
            return unsound(str(error)[:500])
        return judge(shown, parts.settings.release)

    async def used(self) -> dict[str, str]:
        """Forget all events so far, for they have judged; return where each partition's end."""
        return await self._parts.registry.judged() | self._slice.used()

    def _enough(self, new: list[Arrived]) -> bool:
        clicks, release = clicks_by_query(new), self._parts.settings.release
        return sum(clicks.values()) >= release.gate_clicks and len(clicks) >= release.min_queries

    async def _queries(self, new: list[Arrived]) -> list[str]:
        """Return held-back queries: those with the most new clicks, then those asked most.

        Those that too few clients have asked are left out: the queries go to prompts and searches.
        """
        popular = [query for query, _ in await self._parts.evidence.popular(POPULAR)]
        held = [query for query in popular if self._clusters.held_back(query)]
        names = {query_field(one.row.segment, one.row.query) for one in new}
        public = {of_field(name)[1] for name in await self._parts.evidence.crowds.visible(names)}
        wanted = dict.fromkeys([*(query for query in clicks_by_query(new) if query in public), *held])
        return list(wanted)[: self._parts.settings.release.gate_queries]

    async def _known(self, new: list[Arrived], queries: list[str]) -> Known:
        """Return the whole evidence and the new part of it; all of it is new where none is waited for."""
        parts = self._parts
        whole = await parts.evidence.read(queries)
        if parts.settings.release.gate_clicks == 0:
            return Known(whole=whole, new=whole)
        decay = await load_decay(parts.redis, parts.settings.keys, parts.settings.feedback)
        if decay is None:
            return Known(whole=whole, new=[QueryEvidence(query=query) for query in queries])
        by = Folding(
            keys=parts.settings.keys,
            settings=parts.settings.feedback,
            decay=decay,
            curve=await self._ranks.curve(),
        )
        return Known(whole=whole, new=folded(new, queries, by, parts.clock()))

    async def _explored(self, manifest: Manifest) -> list[Explored]:
        """Return what the explore arm showed since the version was made."""
        pages = await read_explored(self._parts.redis, self._parts.settings.keys)
        return [page for page in pages if page.shown_at_ms > manifest.made_at_ms]

    def _prompts(self, queries: list[str]) -> list[Prompt]:
        return [prompt_for(query, self._parts.index, self._parts.settings) for query in queries]


def revoked_ancestor(manifest: Manifest, by_number: Mapping[int, Manifest], revoked: AbstractSet[int]) -> int:
    """Return the nearest version that it was learned from and that was rolled back; 0: none that is known."""
    parent = manifest.parent
    while parent and parent not in revoked:
        one = by_number.get(parent)
        parent = (one.of or one.parent) if one else 0
    return parent


def _end(manifest: Manifest, partition: str) -> str:
    return manifest.window.get(partition, Window()).last
