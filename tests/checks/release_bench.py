"""A release process without shoppers: real Redis, real store, the tiny model; pages are written as rows."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from redis.asyncio import Redis

from agent.policy.model import Policy
from agent.policy.plan import Plan
from agent.policy.prompt import PROMPT_VERSION
from agent.release.desk import Why
from agent.release.parts import Parts
from agent.release.releaser import Releaser
from agent.retrieval import Results
from agent.sections import LearnerSettings, PolicySettings, ReleaseSettings, ServeSettings
from agent.settings import Settings
from feedback.clock import ManualClock, wall_clock
from feedback.delivery.streams import FIELD
from feedback.evidence.ledger import LedgerRow
from feedback.evidence.reading import fold_of
from feedback.records import Action, Arm
from feedback.stores import Lease, connect
from feedback.version_records import Manifest, State

BY_HAND = Why(stage="operator", reason="test")
TINY = PolicySettings(model="tiny", lora_layers=2, max_new_tokens=6, neighbours=2)


class EmptyCatalogue:
    """Finds nothing, whatever is searched."""

    async def msearch(self, plans: Sequence[Plan], *, size: int = 10, purpose: str) -> list[Results]:
        """Return empty pages."""
        del size, purpose
        return [Results(object_ids=(), scores=(), total=0, took_ms=1) for _ in plans]


@dataclass(kw_only=True)
class ReleaseBench:
    """One shop's release process, stepped by hand."""

    parts: Parts
    releaser: Releaser
    clock: ManualClock
    redis: Redis

    async def make(self, value: float = 0.0, **changes: object) -> int:
        """Make a version as a learner does; return its number."""
        policy = Policy.load(TINY)
        state = {name: tensor + value for name, tensor in policy.adapter_state().items()}
        registry = self.parts.registry
        version = await registry.next_version()
        saved = self.parts.store.save(version, state)
        made = Manifest(
            version=version,
            parent=0,
            base_model=policy.base_model,
            prompt_version=PROMPT_VERSION,
            uri=saved.uri,
            sha256=saved.sha256,
            n_bytes=saved.n_bytes,
            made_at_ms=self.clock(),
            steps=version,
        )
        await registry.publish(msgspec.structs.replace(made, **changes))
        return version

    async def served(self) -> int:
        """Let a version serve, as an operator does."""
        version = await self.make()
        await self.parts.desk.promote(await self.parts.desk.scene(), version, BY_HAND)
        return version

    async def matured(self) -> None:
        """Let the pages so far become as old as clicks take, and look."""
        self.clock.advance(self.parts.settings.feedback.click_window_s)
        await self.releaser.step()

    async def state(self, version: int) -> State:
        """Return where a version stands."""
        return (await self.parts.registry.standings())[version].state

    async def shoppers(
        self, trial: int, *, clients: int, rates: dict[Arm, float], pages: int = 5, seed: int = 0
    ) -> None:
        """Let clients of each arm see differing pages and click, each page with the rate of its arm."""
        rng = random.Random(seed)
        rows: list[LedgerRow] = []
        for arm, rate in rates.items():
            for client in range(clients):
                for page in range(pages):
                    name = f"{trial}-{seed}-{arm}-{client}-{page}"
                    shown = self._page(name, f"{arm}-{seed}-{client}", arm, trial)
                    rows.append(shown)
                    if rng.random() < rate:
                        click = {"kind": "action", "action": Action.CLICK, "rank": 1, "object_ids": ("o",)}
                        rows.append(msgspec.structs.replace(shown, **click))
        await self.write(rows)

    async def write(self, rows: Sequence[LedgerRow]) -> None:
        """Append rows to the ledger, as a collector does."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for row in rows:
                partition = self.parts.settings.keys.partition_of(row.query)
                pipe.xadd(
                    self.parts.settings.keys.ledger(partition, row.day), {FIELD: msgspec.json.encode(row)}
                )
            await pipe.execute()

    def _page(self, query_id: str, client: str, arm: Arm, trial: int) -> LedgerRow:
        return LedgerRow(
            kind="page",
            client=client,
            fold=fold_of(client),
            segment="all",
            query="lamp",
            arm=arm,
            at_ms=self.clock(),
            object_ids=("o", "p"),
            query_id=query_id,
            trial=trial,
        )


@asynccontextmanager
async def release_bench(
    folder: Path, tenant: str, redis_url: str, *, held_back_share: float = 0.1, **release: object
) -> AsyncIterator[ReleaseBench]:
    """Give a bench; unless told otherwise the gate waits for no events, trials follow each other at once."""
    settings = Settings(
        tenant=tenant,
        data_dir=folder,
        redis={"state_url": redis_url, "partitions": 2},
        policy=TINY,
        serve=ServeSettings(),
        learner=LearnerSettings(held_back_share=held_back_share),
        release=ReleaseSettings.model_validate(
            {"gate_clicks": 0, "trial_every_s": 0, "min_clients": 20, **release}
        ),
    )
    redis = connect(redis_url)
    lease = Lease(redis, settings.keys.lease("release"), ttl_s=30)
    await lease.hold()
    clock = ManualClock(wall_clock())
    parts = Parts.of(settings, redis, EmptyCatalogue(), lambda: Policy.load(TINY), clock=clock, lease=lease)
    try:
        yield ReleaseBench(parts=parts, releaser=Releaser(parts), clock=clock, redis=redis)
    finally:
        parts.examiner.close()
        await lease.release()
        await redis.aclose()
