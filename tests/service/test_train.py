"""`unseen train` on a real OpenSearch with a tiny model: what it leaves, and that it goes on from there."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.errors import Permanent
from agent.evaluate.latest import newest_policy
from agent.evaluate.training import StillEvidence, TrainOptions, run_training
from agent.settings import Settings
from agent.weights.folder import FolderRegistry
from agent.weights.store import AdapterStore
from feedback.keys import Keys

pytestmark = pytest.mark.timeout(150)
WORDS = ("grey", "oak", "steel", "soft", "tall", "red", "round", "old")


@pytest.fixture
def settings(opensearch_url: str) -> Settings:
    learner = {"queries_a_step": 4, "group": 4, "imitate_a_step": 0}
    return Settings.model_validate(
        {"opensearch": {"url": opensearch_url}, "policy": {"model": "tiny"}, "learner": learner}
    )


def options(folder: Path, **more: Any) -> TrainOptions:  # noqa: ANN401
    catalogue, judgments = folder / "catalogue.jsonl", folder / "labels.tsv"
    products = [{"product_id": f"p{i}", "title": f"{word} chair {i}"} for i, word in enumerate(WORDS * 3)]
    catalogue.write_text("\n".join(json.dumps(product) for product in products))
    rows = [f"train\tchair {word}\tp{i}\t3" for i, word in enumerate(WORDS)]
    judgments.write_text("\n".join(["split\tquery\tproduct_id\trelevance", *rows]))
    given: dict[str, Any] = {
        "catalogue": catalogue,
        "judgments": judgments,
        "store": folder / "store",
        "minutes": 0.08,
    }
    return TrainOptions(**(given | more))


def run(chosen: TrainOptions, settings: Settings) -> dict[str, Any]:
    return asyncio.run(run_training(chosen, settings, lambda *_: None))


def test_it_learns_without_redis_and_goes_on_where_it_stopped(tmp_path: Path, settings: Settings) -> None:
    unreachable = settings.redis.model_copy(update={"state_url": "redis://127.0.0.1:1/0"})
    alone = settings.model_copy(update={"redis": unreachable})
    first = run(options(tmp_path), alone)
    assert first["queries"] == len(WORDS)
    assert first["updates"] == first["updates_in_all"] > 0
    assert first["rollouts"] > 0
    store = AdapterStore(tmp_path / "store")
    registry = FolderRegistry(store.files)
    made = registry.newest()
    assert (made.version, made.uri) == (first["version"], first["file"])
    assert (made.version, made.parent, made.steps) == (1, 0, first["updates"])
    assert any(bool(tensor.abs().sum() > 0) for tensor in store.load(made).values())
    assert newest_policy(store, alone.policy).version == 1
    short = run(options(tmp_path, updates=2, minutes=2.0), alone)
    assert (short["updates"], short["version"]) == (2, 2)
    second = run(options(tmp_path), alone)
    assert second["updates_in_all"] == first["updates"] + 2 + second["updates"]
    steps = [first["updates"], first["updates"] + 2, second["updates_in_all"]]
    assert [(one.version, one.parent) for one in registry.versions()] == [(1, 0), (2, 1), (3, 2)]
    assert [one.steps for one in registry.versions()] == steps
    left = httpx.get(f"{settings.opensearch.url}/_cat/indices/train-*?format=json").json()
    assert left == []


def test_a_click_log_teaches_in_place_of_labels(tmp_path: Path, settings: Settings) -> None:
    log = tmp_path / "clicks.tsv"
    rows = [
        f"u{i}\tchair {word}\tp{i}\t2024-01-01 10:00:00\t2024-01-01 10:00:0{i}"
        for i, word in enumerate(WORDS)
    ]
    log.write_text("\n".join(rows))
    done = run(options(tmp_path, judgments=None, clicks=(log,), minutes=0.03), settings)
    assert done["queries"] == len(WORDS)
    assert done["updates"] > 0


def test_what_teaches_nothing_is_refused(tmp_path: Path) -> None:
    nowhere = Settings.model_validate({"opensearch": {"url": "http://127.0.0.1:1"}})
    with pytest.raises(Permanent, match="either --judgments or --clicks"):
        run(options(tmp_path, judgments=None), nowhere)
    with pytest.raises(Permanent, match="its splits: train"):
        run(options(tmp_path, split="dev"), nowhere)
    with pytest.raises(Permanent, match="--relevant-from 4"):
        run(options(tmp_path, relevant_from=4.0), nowhere)
    with pytest.raises(Permanent, match="give a folder, for checkpoints"):
        run(options(tmp_path, store=Path("s3://bucket/weights")), nowhere)


async def test_the_seed_draws_the_order_of_learning() -> None:
    weights = {f"query {i}": {"a": 1.0} for i in range(20)}
    orders = [
        [row.query for row in await StillEvidence.of(weights, Keys(), seed=seed).moved({}, 20)]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2]) == sorted(weights)
    assert orders[0] != sorted(orders[0])


async def test_evidence_of_labels_is_read_as_the_live_one_is() -> None:
    keys = Keys(partitions=2)
    source = StillEvidence.of({"couch": {"a": 1.0, "b": 2.0}, "hose": {"c": 1.0}}, keys)
    rows = await source.moved({}, 10)
    assert {row.query for row in rows} == {"couch", "hose"}
    seen = {row.partition: 2 for row in rows}
    assert await source.moved(seen, 10) == []
    (couch, unknown) = await source.read(["couch", "rake"])
    assert couch.clicks == 3.0
    assert not unknown.merged()
