"""The newest version is judged only as what its manifest says it is."""

from pathlib import Path

import msgspec
import pytest
from store_kinds import KINDS, place

from agent.errors import BadWeights, Permanent
from agent.evaluate.latest import newest_policy
from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION
from agent.sections import PolicySettings
from agent.weights.folder import FolderRegistry
from agent.weights.store import AdapterStore
from feedback.version_records import Manifest

TINY = PolicySettings(model="tiny")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> AdapterStore:
    return AdapterStore(place(request.param, tmp_path))


def made(store: AdapterStore, version: int, value: float) -> Manifest:
    """Save a version whose every weight is this value; it exists once published."""
    policy = Policy.load(TINY)
    saved = store.save(version, {name: t.fill_(value) for name, t in policy.adapter_state().items()})
    return Manifest(
        version=version,
        parent=version - 1,
        base_model=policy.base_model,
        prompt_version=PROMPT_VERSION,
        uri=saved.uri,
        sha256=saved.sha256,
        n_bytes=saved.n_bytes,
        made_at_ms=0,
        steps=1,
    )


def test_it_is_the_newest_that_was_published(store: AdapterStore) -> None:
    registry = FolderRegistry(store.files)
    for version, value in ((2, 0.25), (10, 0.5)):
        registry.publish(made(store, version, value))
    made(store, 11, 0.75)
    policy = newest_policy(store, TINY)
    assert policy.version == 10
    assert {float(t.max()) for t in policy.adapter_state().values()} == {0.5}


@pytest.mark.parametrize("field", ["base_model", "prompt_version"])
def test_another_ground_is_refused_by_both_names(store: AdapterStore, field: str) -> None:
    right = made(store, 1, 0.5)
    FolderRegistry(store.files).publish(msgspec.structs.replace(right, **{field: "other-one"}))
    with pytest.raises(
        Permanent, match=f"version 1 stands on .*other-one.*; here run .*{getattr(right, field)}"
    ):
        newest_policy(store, TINY)


def test_a_changed_file_is_refused(store: AdapterStore) -> None:
    right = made(store, 1, 0.5)
    FolderRegistry(store.files).publish(right)
    store.files.put(right.uri, b"other")
    with pytest.raises(BadWeights, match="not what its manifest says"):
        newest_policy(store, TINY)


def test_a_store_without_a_version_is_refused(store: AdapterStore) -> None:
    made(store, 1, 0.5)
    with pytest.raises(Permanent, match="no version in"):
        newest_policy(store, TINY)
