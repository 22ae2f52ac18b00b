"""A learner does what it is told: pause, leave a version that was rolled back, forget since a time."""

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import torch
from redis.asyncio import Redis
from toy import QUERIES, ToyCatalogue, ToyEvidence, toy_settings, toy_stores

from agent.errors import Transient
from agent.learner.checkpoint import Checkpoints
from agent.learner.session import LearnerSession
from agent.sections import ReleaseSettings
from agent.settings import Settings
from agent.weights.registry import Move, Registry
from agent.weights.store import AdapterStore
from feedback.clock import ManualClock
from feedback.stores import connect
from feedback.version_records import AuditEntry, Manifest, Pause, Rewind, Standing, State

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.filterwarnings("default"),  # RLlib warns of its own old names
]


class Desk:
    """An operator with a learner."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.redis: Redis = connect(settings.redis.state_url)
        self.registry = Registry(self.redis, settings.keys)
        self.checkpoints = Checkpoints(settings.tenant_dir / "checkpoints")
        self.clock = ManualClock(3_000)
        self.session = cast("LearnerSession", None)

    async def start(self) -> None:
        """Start the learner, or start it again."""
        if self.session is not None:
            await self.session.close()
        evidence = ToyEvidence(QUERIES, self.settings.keys)
        stores = toy_stores(self.settings, self.redis, evidence, ToyCatalogue())
        object.__setattr__(stores, "clock", self.clock)
        self.session = await LearnerSession.build(self.settings, stores)

    async def made(self, updates: int = 2) -> Manifest:
        """Train and publish."""
        assert (await self.session.train(max_updates=updates)).updates == updates
        return await self.session.publish()

    async def serve(self, version: int) -> None:
        stable = await self.registry.stable_version()
        stands = Standing(version=version, state=State.STABLE)
        await self.registry.move(Move(stable=stable, trial=0, standings=(stands,), serve=version))

    async def revoke(self, version: int) -> None:
        stable = await self.registry.stable_version()
        await self.registry.move(Move(stable=stable, trial=0, revoke=frozenset({version})))

    async def rewind(self, *, before_ms: int, at_ms: int) -> None:
        order = Rewind(at_ms=at_ms, before_ms=before_ms, by="me", why="a robot clicked")
        await self.redis.set(self.settings.keys.rewind(), msgspec.json.encode(order))

    def has_weights_of(self, manifest: Manifest) -> bool:
        theirs, ours = (
            AdapterStore(self.settings.weights_dir).load(manifest),
            self.session.policy.adapter_state(),
        )
        return all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())

    async def close(self) -> None:
        await self.session.close()
        await self.redis.aclose()


@pytest.fixture(name="settings")
def _settings(tmp_path: Path, tenant: str, redis_url: str) -> Settings:
    return toy_settings(tmp_path, tenant, redis_url)


async def test_paused_it_trains_and_publishes_nothing_until_resumed(settings: Settings) -> None:
    desk = Desk(settings)
    await desk.start()
    await desk.session.train(max_updates=1)
    await desk.registry.pause("learning", Pause(by="me", at_ms=1, why="holidays"))
    assert (await desk.session.train(max_updates=1)).updates == 0
    assert desk.session.vitals.figures()["paused"] == "1"
    with pytest.raises(Transient, match="paused"):
        await desk.session.publish()
    assert await desk.registry.versions() == []
    await desk.registry.resume("learning", AuditEntry(at_ms=2, by="me", did="resumed learning"))
    assert (await desk.session.train(max_updates=1)).updates == 1
    assert desk.session.vitals.figures()["paused"] == "0"
    await desk.close()


async def test_after_a_rollback_it_goes_on_from_the_serving_version_and_keeps_its_place(
    settings: Settings,
) -> None:
    desk = Desk(settings)
    await desk.start()
    first = await desk.made()
    await desk.serve(first.version)
    second, third = await desk.made(), await desk.made()
    assert (first.steps, second.steps, third.steps, third.parent) == (2, 4, 6, second.version)
    position = desk.session.parts.pool.position()
    await desk.revoke(second.version)  # the third comes from it

    with pytest.raises(Transient, match="went back"):
        await desk.session.publish()
    assert desk.has_weights_of(first)
    assert desk.session.progress.version == first.version
    assert desk.session.parts.pool.position() == position
    assert desk.session._algorithm.learner_group._learner.tensors()[1] == {}  # a fresh optimiser

    fourth = await desk.made()
    assert (fourth.parent, fourth.steps, fourth.line, first.line) == (first.version, 4, 1, 0)
    await desk.start()  # and a restart comes back to where it stands
    assert desk.session.progress.version == fourth.version
    assert desk.has_weights_of(fourth)
    await desk.close()


async def test_with_nothing_that_serves_it_goes_on_from_the_base_model(settings: Settings) -> None:
    desk = Desk(settings)
    await desk.start()
    base = desk.session.policy.adapter_state()
    only = await desk.made()
    await desk.revoke(only.version)
    assert await desk.session.obey()
    assert all(torch.equal(base[n], t) for n, t in desk.session.policy.adapter_state().items())
    assert desk.session.progress.place == (1, 0)
    await desk.close()


async def test_told_to_stop_after_a_rollback_it_pauses_itself_and_says_why(settings: Settings) -> None:
    desk = Desk(settings.model_copy(update={"release": ReleaseSettings(after_rollback="stop")}))
    await desk.start()
    first = await desk.made()
    await desk.serve(first.version)
    second = await desk.made()
    await desk.revoke(second.version)
    assert (await desk.session.train(max_updates=1)).updates == 0
    pause = (await desk.registry.paused())["learning"]
    assert (pause.by, pause.why) == (
        "learner",
        f"version {second.version} was rolled back; resume to go on from version {first.version}",
    )
    await desk.registry.resume("learning", AuditEntry(at_ms=2, by="me", did="resumed learning"))
    assert (await desk.made()).parent == first.version
    await desk.close()


async def test_a_rewind_goes_back_to_the_checkpoint_before_it_once(settings: Settings) -> None:
    desk = Desk(settings)
    await desk.start()
    desk.clock.now_ms = 10_000
    first = await desk.made()
    desk.clock.now_ms = 20_000
    second = await desk.made()
    await desk.rewind(before_ms=15_000, at_ms=21_000)
    assert await desk.session.obey()
    assert desk.has_weights_of(first)
    assert desk.session.progress.version == first.version
    assert [one.progress.place for one in desk.checkpoints.every()] == [(0, 2), (1, 2), (1, 2)]
    assert names(settings) == ["000000-00000001.msgpack", "000000-00000002.msgpack"]
    moments = desk.session._algorithm.learner_group._learner.tensors()[1]
    assert {float(value) for name, value in moments.items() if name.endswith("|step")} == {2.0}

    assert not await desk.session.obey()  # once
    await desk.start()
    assert not await desk.session.obey()  # after a restart, too
    third = await desk.made()
    assert (third.version, third.parent, third.steps) == (second.version + 1, first.version, 4)
    await desk.close()


async def test_a_rewind_before_all_checkpoints_learns_everything_anew(settings: Settings) -> None:
    desk = Desk(settings)
    await desk.start()
    base = desk.session.policy.adapter_state()
    desk.clock.now_ms = 10_000
    await desk.made()
    assert desk.session.parts.pool.position() != {}
    await desk.rewind(before_ms=5_000, at_ms=21_000)
    assert await desk.session.obey()
    assert all(torch.equal(base[n], t) for n, t in desk.session.policy.adapter_state().items())
    assert desk.session.parts.pool.position() == {}
    assert names(settings) == []
    assert desk.session.progress.version == 0
    assert await desk.session.observe() == len(QUERIES)
    await desk.close()


def names(settings: Settings) -> list[str]:
    return sorted(path.name for path in (settings.tenant_dir / "weights" / "batches").iterdir())


async def test_a_checkpoint_holds_no_pickle_and_restores_to_the_bit(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(settings)
    await desk.start()
    await desk.made(3)
    before = desk.session._algorithm.learner_group._learner.tensors()
    folder = settings.tenant_dir / "checkpoints"
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {"", ".json", ".safetensors"}
    await desk.session.close()

    def poisoned(*_: Any, **__: Any) -> None:  # noqa: ANN401
        raise AssertionError("something was unpickled from disk")

    for loader in ("pickle.load", "torch.load"):
        monkeypatch.setattr(loader, poisoned)
    desk.session = cast("LearnerSession", None)
    await desk.start()
    after = desk.session._algorithm.learner_group._learner.tensors()
    for was, now in zip(before, after, strict=True):
        assert was.keys() == now.keys()
        assert all(torch.equal(was[name], now[name]) for name in was)
    assert desk.session._algorithm.learner_group._learner.updates == 3
    await desk.close()
