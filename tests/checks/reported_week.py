"""A shop's fortnight in a store, as a week's report reads it: pages by arm and day, verdicts, versions."""

import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
from redis.asyncio import Redis

from agent.settings import Settings
from agent.verify import VerdictWriter
from agent.watching.curves import EVERY_S, Sample
from feedback import vitals
from feedback.auditing import write_audit
from feedback.clock import wall_clock
from feedback.delivery.streams import FIELD
from feedback.evidence.crowds import MEMBER, as_stored
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.reading import query_field
from feedback.records import Action, Arm, Rung, Verified
from feedback.text import digest
from feedback.version_records import AuditEntry, Figure, Judgement, Standing, State

DAY_MS = 86_400_000
SCRIPT = "<script>alert(1)</script>"
TURNED = "sofa \u202egnorw\u202c grey"
LONG = "very long " * 1000
RARE = "john doe garden street"
MIN_CLIENTS = 3
QUERIES = {
    "couch": (0.55, 0.3),
    "hose": (0.4, 0.38),
    "mw3": (0.5, 0.1),
    SCRIPT: (0.2, 0.35),
    LONG: (0.4, 0.3),
}
"""Chance of a click on a page that is treated, and on a raw one."""
WITHDRAWN = "old lamp"
ARMS = (*(Arm.STABLE,) * 12, Arm.CANARY, Arm.CANARY, Arm.EXPLORE, Arm.EXPLORE, *(Arm.HOLDBACK,) * 4)
GATE = {
    "queries": Figure(value=200.0, least=50.0),
    "difference": Figure(value=0.021, least=0.0),
    "difference_se": Figure(value=0.004),
    "harm_rate": Figure(value=0.12, most=0.25),
}
TRIAL = {
    name: Figure(value=v) for name, v in (("clicks_lift", 0.25), ("clicks_low", 0.15), ("clicks_high", 0.35))
}


async def write_fortnight(redis: Redis, settings: Settings, *, clients: int = 60) -> None:
    """Write all of it."""
    now_ms = wall_clock()
    for at in range(14):
        await _day(redis, settings, now_ms - at * DAY_MS, clients, seed=at, is_late=at < 7)
    await _verdicts(redis, settings)
    await _crowds(redis, settings)
    await _versions(redis, settings, now_ms)
    await _now(redis, settings, now_ms)


async def _day(
    redis: Redis, settings: Settings, at_ms: int, clients: int, *, seed: int, is_late: bool
) -> None:
    rows = list(rows_of_day(at_ms, clients, seed=seed, is_late=is_late))
    async with redis.pipeline(transaction=False) as pipe:
        for row in rows:
            key = settings.keys.ledger(settings.keys.partition_of(row.query), row.day)
            pipe.xadd(key, {FIELD: msgspec.json.encode(row)})
        await pipe.execute()


IDS = count()


def rows_of_day(at_ms: int, clients: int, *, seed: int, is_late: bool) -> Iterator[LedgerRow]:
    """Yield a day's pages with what was done on them; the rewrite of mw3 is new in the late half."""
    draw = random.Random(seed)
    for n in range(clients):
        arm = ARMS[n % len(ARMS)]
        for query, (treated, raw) in QUERIES.items():
            serves = arm is not Arm.HOLDBACK and (query != "mw3" or is_late)
            page = page_row(
                arm, f"{arm}-{n}", query, at_ms, rewritten=serves, empty=query == "mw3" and not serves
            )
            yield page
            if draw.random() < (treated if serves else raw) and page.object_ids:
                yield action_row(page, Action.CLICK)
                if draw.random() < 0.3:
                    yield action_row(page, Action.PURCHASE)
    for n in range(2):
        yield page_row(Arm.STABLE, f"rare-{n}", RARE, at_ms, rewritten=True)
    yield page_row(Arm.STABLE, "stable-0", WITHDRAWN, at_ms, rewritten=True)


def page_row(
    arm: Arm, client: str, query: str, at_ms: int, *, rewritten: bool = False, empty: bool = False
) -> LedgerRow:
    return LedgerRow(
        kind="page", client=digest(client), fold=0, segment="all", query=query, arm=arm, at_ms=at_ms,
        rewritten=rewritten, object_ids=() if empty else ("A", "B"), query_id=f"00-{next(IDS):024x}",
        rung=Rung.VERIFIED if rewritten else Rung.RAW,
    )  # fmt: skip


def action_row(page: LedgerRow, action: Action, value_minor: int = 1999) -> LedgerRow:
    value = value_minor if action is Action.PURCHASE else 0
    return LedgerRow(
        kind="action", client=page.client, fold=0, segment="all", query=page.query, arm=page.arm,
        at_ms=page.at_ms, object_ids=("A",), action=action, query_id=page.query_id, value_minor=value,
    )  # fmt: skip


def verdict(query: str, text: str, gain: float = 0.0, **more: Any) -> Verified:  # noqa: ANN401
    told = {"gain_sd": 0.05, "p_harm": 0.01, "support": 6.0, "fingerprint": "", "evidence_seq": 1, **more}
    return Verified(query=query, text=text, gain=gain, changes=bool(text), made_at_ms=wall_clock(), **told)


async def _verdicts(redis: Redis, settings: Settings) -> None:
    writer = VerdictWriter(redis, settings.keys)
    assert await writer.hold()
    verdicts = [
        verdict("couch", "grey sofa", 0.31),
        verdict("hose", "garden pipe", 0.02, p_harm=0.2),
        verdict("mw3", "modern warfare 3", 0.9),
        verdict(SCRIPT, "<img src=x onerror=alert(1)>", -0.05, p_harm=0.6),
        verdict(LONG, LONG, 0.1),
        verdict(TURNED, "sofa bed", 0.15),
        verdict(RARE, "secret words", 2.0),
        verdict(WITHDRAWN, ""),
        verdict("odd", "", settled=False),
    ]
    await writer.write(verdicts)
    await writer.release()


async def _crowds(redis: Redis, settings: Settings) -> None:
    crowd = as_stored([letter * MEMBER for letter in "abc"], MIN_CLIENTS)
    for query in (*QUERIES, TURNED, WITHDRAWN):
        key = settings.keys.crowds(settings.keys.partition_of(query))
        await redis.hset(key, query_field("all", query), crowd)
    key = settings.keys.crowds(settings.keys.partition_of(RARE))
    await redis.hset(key, query_field("all", RARE), as_stored(["a" * MEMBER, "b" * MEMBER], MIN_CLIENTS))


async def _versions(redis: Redis, settings: Settings, now_ms: int) -> None:
    """Say that 3 was promoted, 4 refused, 5 promoted and rolled back, so that 6 serves again what 3 was."""

    def judged(days: float, stage: Any, state: State, reason: str, figures: Any) -> Judgement:  # noqa: ANN401
        at_ms = now_ms - round(days * DAY_MS)
        return Judgement(at_ms=at_ms, stage=stage, state=state, reason=reason, by="release", figures=figures)

    holds, broke = "every figure holds", "difference below its limit"
    bad = {**GATE, "difference": Figure(value=-0.02, least=0.0)}
    judgements = {
        3: [judged(5.2, "gate", State.WAITING, holds, GATE), judged(5, "trial", State.STABLE, holds, TRIAL)],
        4: [judged(4, "gate", State.REFUSED, broke, bad)],
        5: [
            judged(2, "trial", State.STABLE, holds, TRIAL),
            judged(1, "operator", State.REVOKED, "odd words", {}),
        ],
        6: [judged(1, "operator", State.STABLE, "stands in for version 5", GATE)],
    }
    for version, some in judgements.items():
        standing = Standing(version=version, state=some[-1].state, judgements=tuple(some))
        await redis.hset(settings.keys.standings(), str(version), msgspec.json.encode(standing).decode())
    await redis.set(settings.keys.stable(), 6)
    done = [
        (9, "promoted", 2, "before the week"), (5, "promoted", 3, holds),
        (4, "refused at the gate", 4, broke), (2, "promoted", 5, holds), (1, "rolled back", 5, "odd words"),
    ]  # fmt: skip
    async with redis.pipeline(transaction=True) as pipe:
        for days, did, version, why in done:
            by = "anna" if did == "rolled back" else "release"
            entry = AuditEntry(at_ms=now_ms - days * DAY_MS, by=by, did=did, version=version, why=why)
            write_audit(pipe, settings.keys, entry)
        await pipe.execute()


async def _now(redis: Redis, settings: Settings, now_ms: int) -> None:
    """Write what processes say of themselves, and some samples of the last hour."""
    keys = settings.keys
    for name, half in (("one", "400"), ("two", "200")):
        figures = {"searches": "450", "source_verified": half, "source_raw:silent": "150"}
        await vitals.say(redis, keys, "gateway", name, figures)
    await redis.hset(keys.counts(0), mapping={"dropped|no_page": 3, "impressions|stable|rewritten": 4000})
    await redis.zadd(keys.collectors(), {"collector-1": now_ms})
    await redis.xadd(keys.suspended(), {FIELD: query_field("all", "couch")})
    for n in range(1, 61):
        slot_ms = (now_ms // (EVERY_S * 1000) - 61 + n) * EVERY_S * 1000
        sample = Sample(at_ms=slot_ms, arms={}, reward=0.001 * n, verified=float(100 + n))
        await redis.xadd(keys.curves(), {FIELD: msgspec.json.encode(sample)}, id=f"{slot_ms}-1")
