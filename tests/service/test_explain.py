"""Why a query gets what it gets: real Redis, real OpenSearch, the tiny model."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from log_clicks import click
from redis.asyncio import Redis
from typer.testing import CliRunner

from agent.cli import app
from agent.errors import Permanent
from agent.evaluate.explaining_reading import Wanted, read
from agent.evaluate.explaining_view import explanation
from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION, Prompt
from agent.retrieval import Catalogue
from agent.sections import OpenSearchSettings, PolicySettings, ServeSettings
from agent.serve.cache import RewriteCache
from agent.settings import Settings
from agent.verify import VerdictWriter, Verifier
from agent.weights.registry import Move, Registry
from agent.weights.store import AdapterStore
from feedback.clock import ManualClock, wall_clock
from feedback.collecting.collector import Collector
from feedback.delivery.streams import FIELD
from feedback.evidence.candidates import CandidateReader
from feedback.evidence.reading import EvidenceReader
from feedback.records import CachedRewrite, LendingTerms, Rewrite
from feedback.settings import RedisSettings
from feedback.stores import connect, forget
from feedback.version_records import Figure, Judgement, Manifest, Standing, State, Trial

HOUR_MS = 3_600_000
PRODUCTS = [
    *({"id": f"sofa{i}", "title": f"grey sofa number {i}"} for i in range(3)),
    *({"id": f"lamp{i}", "title": f"desk lamp number {i}"} for i in range(12)),
]
SILENT = Wanted(query="couch", model=False)


@dataclass
class Shop:
    """A small shop."""

    settings: Settings
    redis: Redis
    catalogue: Catalogue
    clock: ManualClock
    ids: "count[int]"

    @property
    def registry(self) -> Registry:
        return Registry(self.redis, self.settings.keys)

    async def click(self, query: str, object_id: str, *, times: int) -> None:
        for _ in range(times):
            await click(self.redis, self.settings, self.clock, self.ids, query=query, object_id=object_id)

    async def judged(self) -> None:
        """Let shoppers say couch and mean sofas, and have it judged."""
        for i in range(12):
            await self.click("desk lamp", f"lamp{i}", times=3)
        for i in range(3):
            await self.click("couch", f"sofa{i}", times=3)
            await self.click("grey sofa", f"sofa{i}", times=3)
        collector = Collector(self.redis, self.settings.keys, self.settings.feedback, self.clock)
        while await collector.step():
            pass
        evidence = EvidenceReader(self.redis, self.settings.keys, self.settings.feedback, self.clock)
        writer = VerdictWriter(self.redis, self.settings.keys)
        reader = CandidateReader(self.redis, self.settings.keys, evidence)
        await Verifier(evidence, reader, self.catalogue, writer, self.settings, self.clock).step()
        await writer.release()
        await collector.release()

    async def version(self, number: int, value: float, state: State, *figures: str) -> Manifest:
        """Publish a version whose every weight is this value, and say where it stands."""
        policy = Policy.load(self.settings.policy)
        weights = {name: t.fill_(value) for name, t in policy.adapter_state().items()}
        saved = AdapterStore(self.settings.weights_dir).save(number, weights)
        made = Manifest(
            version=number,
            parent=number - 1,
            base_model=policy.base_model,
            prompt_version=PROMPT_VERSION,
            uri=saved.uri,
            sha256=saved.sha256,
            n_bytes=saved.n_bytes,
            made_at_ms=0,
            steps=number,
        )
        await self.registry.publish(made)
        gate = Judgement(
            at_ms=1, stage="gate", state=state, reason="past it", by="release",
            figures={name: Figure(value=0.02, least=0.0) for name in figures},
        )  # fmt: skip
        standing = Standing(version=number, state=state, gain=0.02, judgements=(gate,))
        stable, running = await self.registry.stable_version(), await self.registry.trial()
        begin = Trial(version=number, stable=stable, share=0.1, began_at_ms=0)
        move = Move(
            stable=stable,
            trial=running.version if running else 0,
            standings=(standing,),
            serve=number if state is State.STABLE else 0,
            begin=begin if state is State.TRIAL else None,
        )
        await self.registry.move(move)
        return made

    async def suspended(self, at_ms: int) -> None:
        """Tell, as a gateway does, that the pages of the couch's verdict changed."""
        keys = self.settings.keys
        await self.redis.xadd(keys.suspended(), {FIELD: "all|couch"}, id=f"{at_ms}-0")

    async def told(self, wanted: Wanted) -> dict[str, Any]:
        return await read(self.settings, wanted, clock=self.clock)

    async def dump(self) -> dict[bytes, bytes | None]:
        keys = [key async for key in self.redis.scan_iter(match=f"unseen:{{{self.settings.tenant}*")]
        return {key: await self.redis.dump(key) for key in keys}


@pytest_asyncio.fixture(name="shop")
async def _shop(redis_url: str, opensearch_url: str, tenant: str, tmp_path: Path) -> AsyncIterator[Shop]:
    settings = Settings(
        tenant=tenant,
        data_dir=tmp_path,
        redis=RedisSettings(state_url=redis_url, partitions=2),
        opensearch=OpenSearchSettings(url=opensearch_url, index=tenant, fields=("title",)),
        policy=PolicySettings(model="tiny", lora_layers=2, max_new_tokens=6, neighbours=2),
        serve=ServeSettings(deadline_s=0.001),
    )
    redis, clock = connect(redis_url), ManualClock(wall_clock() - HOUR_MS)
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(PRODUCTS)
        yield Shop(settings, redis, catalogue, clock, count())
        await catalogue.drop_index()
    await forget(redis, tenant)
    await redis.aclose()


async def test_a_verified_rewrite_names_its_candidate_its_gain_and_both_pages(shop: Shop) -> None:
    await shop.judged()
    before = await shop.dump()
    told = await shop.told(SILENT)
    assert (told["now"]["rung"], told["now"]["text"], told["now"]["source"]) == (
        "verified",
        "grey sofa",
        "verified",
    )
    origin = {"text": "grey sofa", "source": "co-click", "arms": ["log"]}
    assert told["now"]["origin"] == {"kind": "verified", "candidates": [origin]}
    assert told["raw_page"] == []
    page = told["rewritten_page"]
    assert [(one["object_id"], one["raw_rank"]) for one in page] == [(f"sofa{i}", None) for i in range(3)]
    assert page[0]["title"] == "grey sofa number 0"
    assert page[0]["worth"]["mean"] == pytest.approx(1 / 3)  # three clicks of nine
    assert told["gain"]["mean"] == pytest.approx((1 + 0.6309 + 0.5) / 3, abs=1e-3)  # raw finds nothing
    assert [(one["text"], one["serves"]) for one in told["candidates"]] == [("grey sofa", True)]
    verdict = told["verdict"]
    assert (verdict["evidence_seq"], verdict["evidence_seq_now"]) == (verdict["evidence_seq_now"],) * 2
    assert (verdict["suspended_at_ms"], verdict["raw_share"]) == (0, 0.1)
    assert told["evidence"]["clicks"] == pytest.approx(9)
    assert (told["unknown"], told["versions"]) == (False, [])
    assert await shop.dump() == before  # it reads


async def test_a_verdict_whose_pages_moved_or_that_a_gateway_suspended_does_not_answer(shop: Shop) -> None:
    await shop.judged()
    await shop.suspended(shop.clock() - 1)
    assert (await shop.told(SILENT))["now"]["rung"] == "verified"  # judged again since
    await shop.catalogue.delete(["sofa2"])
    told = await shop.told(SILENT)
    assert (told["now"]["source"], told["verdict"]["moved"]) == ("raw:moved", True)
    assert told["rewritten_page"] is None
    await shop.suspended(shop.clock() + 5)
    told = await shop.told(SILENT)
    assert told["now"]["source"] == "raw:suspended"
    assert told["verdict"]["suspended_at_ms"] == shop.clock() + 5


async def test_a_loan_names_its_lenders(shop: Shop) -> None:
    await shop.judged()
    writer = VerdictWriter(shop.redis, shop.settings.keys)
    await writer.write_terms(LendingTerms(lends=True, similarity=0.15, least_gain=0.02))
    told = await shop.told(Wanted(query="zaza couch", model=False))
    assert told["now"]["rung"] == "nearest"
    assert "grey sofa" in told["now"]["text"]
    (lender,) = told["now"]["origin"]["lenders"]
    assert (lender["query"], lender["text"]) == ("couch", "grey sofa")
    assert told["lending"]["offers"][0]["gain"] > 0
    assert told["lending"]["lendable"]


async def test_of_an_unknown_query_it_says_what_would_answer(shop: Shop) -> None:
    told = await shop.told(Wanted(query="xyz", model=False))
    assert told["unknown"]
    assert (told["now"]["rung"], told["now"]["source"]) == ("raw", "raw:not_asked")
    assert "the live model would be asked" in told["now"]["why"]
    lines = [one for one in explanation(told) if isinstance(one, str)]
    assert "nothing is known of it: no page, no click, no verdict, no rewrite made ahead" in lines
    for query, said in ((" \u200b ", "empty"), ("x" * 600, "too long")):
        with pytest.raises(Permanent, match=said):
            await shop.told(Wanted(query=query, model=False))


async def test_each_version_writes_what_a_replica_would(shop: Shop) -> None:
    await shop.judged()
    first = await shop.version(1, 0.3, State.STABLE, "difference")
    await shop.version(2, -0.4, State.TRIAL, "difference")
    await shop.version(3, 0.0, State.REFUSED)
    told = await shop.told(Wanted(query="xyz"))
    assert [(one["version"], one["state"]) for one in told["versions"]] == [(2, "trial"), (1, "stable")]
    policy = Policy.load(shop.settings.policy)
    policy.load_adapter(AdapterStore(shop.settings.weights_dir).load(first), 1)
    ((wrote,),) = policy.sample([Prompt(query="xyz")], n=1, greedy=True)
    assert told["versions"][1]["text"] == wrote.text
    assert told["now"]["version"] == (1 if wrote.text else 0) or told["now"]["source"].startswith("raw:")
    assert [one["version"] for one in told["gate"]] == [2, 1]
    assert told["gate"][0]["judgement"]["figures"]["difference"]["value"] == 0.02
    assert told["canary"] is not None
    chosen = await shop.told(Wanted(query="xyz", versions=[3, 0]))
    assert [(one["version"], one["state"]) for one in chosen["versions"]] == [
        (3, "refused"),
        (0, "base model"),
    ]
    AdapterStore(shop.settings.weights_dir).remove([first])
    (broken,) = (await shop.told(Wanted(query="xyz", versions=[1])))["versions"]
    assert (broken["text"], "No such file" in broken["error"]) == (None, True)
    with pytest.raises(Permanent, match="version 9 does not exist"):
        await shop.told(Wanted(query="xyz", versions=[9]))


async def test_the_cache_answers_until_its_version_is_revoked(shop: Shop) -> None:
    await shop.version(1, 0.3, State.STABLE)
    cache = RewriteCache(shop.redis, shop.settings.keys, ttl_s=60)
    await cache.put("xyz", CachedRewrite(rewrite=Rewrite(text="grey sofa", version=1, made_at_ms=5)))
    wanted = Wanted(query="xyz", model=False)
    told = await shop.told(wanted)
    assert (told["now"]["rung"], told["now"]["source"], told["now"]["version"]) == ("policy", "cache", 1)
    assert told["now"]["origin"] == {
        "kind": "policy",
        "from": "cache",
        "version": 1,
        "made_at_ms": 5,
        "prompt": [],
    }
    assert [(one["version"], one["revoked"], one["stale"]) for one in told["cached"]] == [(1, False, False)]
    await shop.registry.move(Move(stable=1, trial=0, revoke=frozenset({1})))
    told = await shop.told(wanted)
    assert told["now"]["source"] == "raw:revoked"
    assert told["cached"][0]["revoked"]


async def test_the_command_prints_tables_or_one_object(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.judged()
    await shop.version(1, 0.3, State.STABLE, "difference")
    monkeypatch.setenv("COLUMNS", "160")
    for name, value in environment(shop.settings).items():
        monkeypatch.setenv(f"UNSEEN_{name}", value)
    runner = CliRunner()
    shown = await asyncio.to_thread(runner.invoke, app, ["explain", "couch"])
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0] == "'couch' now gets: grey sofa added (rung verified, source verified)"
    assert "what each version writes" in shown.stdout
    assert "gate: stable (by release) - past it" in shown.stdout
    told = await asyncio.to_thread(runner.invoke, app, ["explain", "couch", "--no-model", "--json"])
    assert json.loads(told.stdout)["now"]["text"] == "grey sofa"
    refused = await asyncio.to_thread(runner.invoke, app, ["explain", "couch", "--versions", "x"])
    assert refused.exit_code == 2


def environment(settings: Settings) -> Mapping[str, str]:
    return {
        "TENANT": settings.tenant,
        "DATA_DIR": str(settings.data_dir),
        "REDIS__STATE_URL": settings.redis.state_url,
        "REDIS__PARTITIONS": "2",
        "OPENSEARCH__URL": settings.opensearch.url,
        "OPENSEARCH__INDEX": settings.opensearch.index,
        "OPENSEARCH__FIELDS": '["title"]',
        "POLICY__MODEL": "tiny",
        "POLICY__LORA_LAYERS": "2",
    }
