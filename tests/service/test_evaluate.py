"""`unseen evaluate` on a real OpenSearch: policies on labelled queries, and nothing left behind."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from report_html import Parsed

from agent.errors import BadWeights, Permanent
from agent.evaluate.labelled import EvaluateOptions, Evaluation, run_evaluation
from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION
from agent.settings import Settings
from agent.weights.folder import FolderRegistry
from agent.weights.store import AdapterStore
from feedback.version_records import Manifest

pytestmark = pytest.mark.timeout(120)
PRODUCTS = [
    {"product_id": "s1", "title": "Grey sofa bed"},
    {"product_id": "s2", "title": "Leather sofa"},
    {"product_id": "h1", "title": "Garden hose pipe"},
    *({"product_id": f"x{i}", "title": f"Lamp number {i}"} for i in range(30)),
]
LABELS = (
    "split\tquery\tproduct_id\trelevance\ndev\tgrey sofaa\ts1\t3\ndev\those\th1\t3\ndev\tnothing\ts1\t1\n"
)


@pytest.fixture
def settings(opensearch_url: str) -> Settings:
    return Settings.model_validate({"opensearch": {"url": opensearch_url}, "policy": {"model": "tiny"}})


def options(folder: Path, **more: object) -> EvaluateOptions:
    catalogue, judgments = folder / "catalogue.jsonl", folder / "labels.tsv"
    catalogue.write_text("\n".join(json.dumps(product) for product in PRODUCTS))
    judgments.write_text(LABELS)
    given = {"catalogue": catalogue, "judgments": judgments, "relevant_from": 2.33, **more}
    return EvaluateOptions(**given)  # type: ignore[arg-type]


def publish(where: Path | str, version: int, settings: Settings) -> Manifest:
    """Make the untrained model a version of a store."""
    policy, store = Policy.load(settings.policy), AdapterStore(where)
    saved = store.save(version, policy.adapter_state())
    manifest = Manifest(
        version=version,
        parent=0,
        base_model=policy.base_model,
        prompt_version=PROMPT_VERSION,
        uri=saved.uri,
        sha256=saved.sha256,
        n_bytes=saved.n_bytes,
        made_at_ms=0,
        steps=0,
    )
    FolderRegistry(store.files).publish(manifest)
    return manifest


def run(chosen: EvaluateOptions, settings: Settings) -> Evaluation:
    return asyncio.run(run_evaluation(chosen, settings, lambda *_: None))


def test_every_policy_is_judged_on_the_same_queries(tmp_path: Path, settings: Settings) -> None:
    store = f"memory://{tmp_path.name}"
    for version in (2, 10):
        publish(store, version, settings)
    policies = ("raw", "rm3", "spelling", "base", "latest")
    judged = run(options(tmp_path, policies=policies, store=store), settings)
    figures = judged.figures
    assert figures["queries"] == 2
    assert figures["without_relevant"] == 1
    assert set(figures["policies"]) == set(policies)
    raw, spelling = figures["policies"]["raw"], figures["policies"]["spelling"]
    assert raw["ndcg10"] == 1.0  # "grey" finds it too
    assert (spelling["wins"], spelling["losses"]) == (0, 0)
    assert figures["policies"]["base"]["terms_mean"] == figures["policies"]["latest"]["terms_mean"]
    assert judged.table().row_count == len(policies)
    places = judged.save(tmp_path / "out" / "report.json")
    assert json.loads(places.figures.read_text()) == json.loads(json.dumps(figures))
    page = Parsed(places.page.read_text())
    assert page.faults() == []
    assert "Queries under the language model, newest version" in page.text
    by_query = {one["query"]: one for one in figures["by_query"]}
    assert set(by_query) == {"grey sofaa", "hose"}
    assert by_query["grey sofaa"]["ndcg10"]["raw"] == 1.0
    assert by_query["grey sofaa"]["instead"]["spelling"] != "grey sofaa"
    assert figures["run"]["catalogue"] == "catalogue.jsonl"
    left = httpx.get(f"{settings.opensearch.url}/_cat/indices/evaluate-*?format=json").json()
    assert left == []


def test_a_misspelt_query_is_found_by_the_engine_s_suggestion(tmp_path: Path, settings: Settings) -> None:
    chosen = options(tmp_path, policies=("raw", "spelling"))
    chosen.judgments.write_text("split\tquery\tproduct_id\trelevance\ndev\tleathr\ts2\t3\n")
    policies = run(chosen, settings).figures["policies"]
    assert (policies["raw"]["ndcg10"], policies["spelling"]["ndcg10"]) == (0.0, 1.0)
    assert policies["spelling"]["wins"] == 1


def test_what_cannot_be_judged_is_refused_before_anything_starts(tmp_path: Path) -> None:
    nowhere = Settings.model_validate(
        {"opensearch": {"url": "http://127.0.0.1:1"}, "policy": {"model": "tiny"}}
    )
    with pytest.raises(Permanent, match="--policies: best; known: raw"):
        run(options(tmp_path, policies=("best",)), nowhere)
    with pytest.raises(Permanent, match="needs --store"):
        run(options(tmp_path, policies=("latest",)), nowhere)
    with pytest.raises(Permanent, match="no version in"):
        run(options(tmp_path, policies=("latest",), store=tmp_path), nowhere)
    with pytest.raises(Permanent, match="--relevant-from 4"):
        run(options(tmp_path, relevant_from=4.0), nowhere)


def test_a_version_whose_file_changed_is_not_judged(tmp_path: Path) -> None:
    nowhere = Settings.model_validate(
        {"opensearch": {"url": "http://127.0.0.1:1"}, "policy": {"model": "tiny"}}
    )
    made = publish(tmp_path, 1, nowhere)
    (tmp_path / made.uri).write_bytes(b"other")
    with pytest.raises(BadWeights, match="not what its manifest says"):
        run(options(tmp_path, policies=("latest",), store=tmp_path), nowhere)
