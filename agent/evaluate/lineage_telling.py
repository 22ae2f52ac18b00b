"""What is said of lineage, for people and programs: of a version, of a page, of an event.

Each answer is a plain dictionary; ``gone`` names what is past retention and by which setting it is bounded.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from redis.asyncio import Redis

from agent.errors import Permanent
from agent.evaluate.lineage import Learned, Row, chain_of, own_of
from agent.evaluate.lineage_reading import (
    Batches,
    Moved,
    event_row,
    impression_of,
    moved,
    page_rows,
    taught,
)
from agent.settings import Settings
from agent.weights.registry import Registry
from feedback.clock import Clock, wall_clock
from feedback.records import Impression, Rung
from feedback.stores import connect
from feedback.version_records import Manifest, Standing

NOT_KEPT = "the ledger has no row of it"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """How much is told."""

    chain: bool = False
    """Of a version, its ancestors' windows and steps too."""
    most: int = 20
    """Events, and queries."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What all answers read."""

    redis: Redis
    settings: Settings
    manifests: Mapping[int, Manifest]
    standings: Mapping[int, Standing]
    batches: Batches
    now_ms: int


@asynccontextmanager
async def opened(settings: Settings, clock: Clock = wall_clock) -> AsyncIterator[World]:
    """Give what there is; raises Corrupt where a manifest cannot be read, and redis errors."""
    async with connect(settings.redis.state_url, settings.redis.timeout_s) as redis:
        registry = Registry(redis, settings.keys)
        manifests = {one.version: one for one in await registry.versions()}
        yield World(
            redis=redis,
            settings=settings,
            manifests=manifests,
            standings=await registry.standings(),
            batches=await asyncio.to_thread(Batches, settings, manifests),
            now_ms=clock(),
        )


async def of_version(world: World, version: int, scope: Scope) -> dict[str, Any]:
    """Return a version's parents, its evidence window, and what moved it.

    Raises:
        Permanent: it does not exist, or no more.
        Corrupt: a record cannot be read.
    """
    manifest = world.manifests.get(version)
    if manifest is None:
        raise Permanent(f"version {version} does not exist, or no more: {_keeps(world.settings)}")
    own = own_of(manifest, world.manifests)
    chain, lost = chain_of(own, world.manifests)
    learned = [await world.batches.of(one) for one in (chain if scope.chain else chain[:1])]
    found = await moved(world.redis, world.settings, learned, world.now_ms, most=scope.most)
    standing = world.standings.get(version)
    return {
        "version": version,
        "of": manifest.of,
        "state": standing.state.value if standing else "",
        "made_at_ms": own.made_at_ms,
        "parents": [one.version for one in chain[1:]],
        "told": [one.version for one in learned],
        "steps": {"in_all": own.steps, "since_parent": learned[0].steps, "kept": learned[0].kept},
        "window": msgspec.to_builtins(own.window),
        **_what_moved(learned, found, scope.most),
        "gone": gone(learned, found, lost, world.settings),
    }


def _what_moved(learned: Sequence[Learned], found: Moved, most: int) -> dict[str, Any]:
    weights: dict[str, float] = {}
    groups: dict[str, int] = {}
    for one in learned:
        for query, weight in one.weights.items():
            weights[query] = weights.get(query, 0.0) + weight
            groups[query] = groups.get(query, 0) + one.groups[query]
    ordered = sorted(weights, key=lambda query: (-weights[query], query))
    return {
        "n_queries": len(ordered),
        "queries": [{"query": q, "weight": weights[q], "groups": groups[q]} for q in ordered[:most]],
        "rows": [{"arm": arm, "kind": kind, "n": n} for (arm, kind), n in sorted(found.rows.items())],
        "events": [said(row) | {"taught": list(versions)} for row, versions in found.events()],
    }


def gone(learned: Sequence[Learned], found: Moved, lost: int, settings: Settings) -> list[str]:
    """Return what is past retention, and what bounds it."""
    notes = (
        [f"version {lost}, from which the oldest of these was learned: {_keeps(settings)}"] if lost else []
    )
    for one in learned:
        keeps = f"learner.keep_batches = {settings.learner.keep_batches}"
        if one.steps is None:
            notes.append(
                f"how many steps made version {one.version}, as its parent is gone; {one.kept} are kept"
            )
        elif one.kept < one.steps:
            notes.append(f"{one.steps - one.kept} of the {one.steps} steps of version {one.version}: {keeps}")
        if not one.manifest.window:
            notes.append(f"the evidence window of version {one.version}: its manifest names none")
    there = sum(window.rows for one in learned for window in one.manifest.window.values())
    if found.read < there:
        days = f"feedback.ledger_days = {settings.feedback.ledger_days}"
        notes.append(
            f"{there - found.read} of {there} ledger rows of the windows: {days}, or a client forgotten"
        )
    return notes


async def of_page(world: World, query_id: str, scope: Scope) -> dict[str, Any]:
    """Return a page's row, what was done on it, who made it, and what moved the version that did."""
    rows = await page_rows(world.redis, world.settings, query_id, world.now_ms)
    shown = await impression_of(world.redis, world.settings, query_id)
    page = next((one for one in rows if one.row.kind == "page"), None)
    told: dict[str, Any] = {
        "query_id": query_id,
        "page": said(page) if page else None,
        "events": [said(one) for one in rows if one.row.kind != "page"],
        "by": maker(page, shown),
        "version": None,
        "gone": [] if page else [_unkept(world.settings)],
    }
    version = page.row.version if page else 0
    if not version:
        return told
    if version not in world.manifests:
        return told | {"gone": [*told["gone"], f"version {version}, which made it: {_keeps(world.settings)}"]}
    return told | {"version": await of_version(world, version, scope)}


def maker(page: Row | None, shown: Impression | None) -> dict[str, Any]:
    """Return who made a page: the raw query, a query's own verdict, others' words, or a version.

    Once the page itself is forgotten (feedback.join_window_s) its row alone tells, and it has no word for the
    difference between a verdict, a loan, a shopper's proposal and the base model.
    """
    if shown is not None:
        text = shown.rewrite.text if shown.rewrite else ""
        at = {"rung": shown.rung.value, "source": shown.source, "text": text}
        return at | {"why": _maker_says(shown)}
    if page is None:
        return {"why": "not known any more"}
    if page.row.version:
        return {"why": f"version {page.row.version} of the policy wrote its words"}
    if page.row.rewritten:
        why = (
            "words that no learned version wrote: a verified rewrite, a loan, a shopper's or the base model's"
        )
        return {"why": f"{why}; unseen evidence and unseen explain tell of the query"}
    return {"why": "the shop's own query"}


def _maker_says(shown: Impression) -> str:
    version = shown.rewrite.version if shown.rewrite else 0
    match shown.rung:
        case Rung.VERIFIED:
            return (
                "the query's own verdict: its evidence made it, no version (unseen evidence, unseen explain)"
            )
        case Rung.NEAREST:
            return (
                "a loan: the evidence of queries like it made it, no version (unseen lending, unseen explain)"
            )
        case Rung.POLICY:
            return (
                f"version {version} of the policy wrote its words"
                if version
                else "the base model, or a shopper"
            )
        case Rung.RAW:
            return f"the shop's own query ({shown.source})"


async def of_event(
    world: World, *, event_id: str = "", query_id: str = "", object_id: str = ""
) -> dict[str, Any]:
    """Return an event's row, or what was done with an object on a page, and the versions that it taught.

    Of a page whose object nobody touched it is the page's own row: being passed over teaches, too.
    """
    rows = await _rows_of(world, event_id, query_id, object_id)
    ordered = [world.manifests[n] for n in sorted(world.manifests)]
    told: list[dict[str, Any]] = []
    for row in rows:
        versions = await taught(world.batches, ordered, row)
        told.append(said(row) | {"taught": [_lesson(one, row, fresh=fresh) for one, fresh in versions]})
    notes = [] if rows else [_unkept(world.settings)]
    first = ordered[0].version if ordered else 0
    if first > 1:
        notes.append(f"versions before {first}: {_keeps(world.settings)}")
    learned = [await world.batches.of(one) for one in ordered if not one.of] if rows else []
    short = [str(one.version) for one in learned if one.steps is None or one.kept < one.steps]
    if short:
        keeps = f"learner.keep_batches = {world.settings.learner.keep_batches}"
        notes.append(f"records of steps of version {', '.join(short)}: {keeps}")
    return {"rows": told, "gone": notes}


async def _rows_of(world: World, event_id: str, query_id: str, object_id: str) -> list[Row]:
    if event_id:
        found = await event_row(world.redis, world.settings, event_id, world.now_ms)
        return [found] if found else []
    rows = await page_rows(world.redis, world.settings, query_id, world.now_ms)
    of_object = [_about(one, object_id) for one in rows if object_id in one.row.object_ids]
    return [one for one in of_object if one.row.kind != "page"] or of_object


def _about(found: Row, object_id: str) -> Row:
    """Return a row as what it says of one object."""
    return replace(found, row=msgspec.structs.replace(found.row, object_ids=(object_id,)))


def _lesson(learned: Learned, row: Row, *, fresh: bool) -> dict[str, Any]:
    query = row.row.query
    return {
        "version": learned.version,
        "in_window": fresh,
        "weight": learned.weights.get(query, 0.0),
        "groups": learned.groups.get(query, 0),
    }


def said(found: Row) -> dict[str, Any]:
    """Return a row without its client."""
    row = found.row
    return {
        "arrived_at_ms": found.order[0],
        "kind": row.kind,
        "action": row.action.value if row.action else "",
        "query": row.query,
        "segment": row.segment,
        "object_ids": list(row.object_ids),
        "text": row.text,
        "rank": row.rank,
        "arm": row.arm.value,
        "version": row.version,
        "rewritten": row.rewritten,
        "query_id": row.query_id,
        "event_id": row.event_id,
    }


def _unkept(settings: Settings) -> str:
    return (
        f"{NOT_KEPT}: older than feedback.ledger_days = {settings.feedback.ledger_days}, not yet collected, "
        "a client forgotten, or none that teaches (a further page, another purpose)"
    )


def _keeps(settings: Settings) -> str:
    return f"release.keep_versions = {settings.release.keep_versions}"
