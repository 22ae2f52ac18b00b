"""A step's record holds the step, whole; the newest are kept."""

from pathlib import Path

import msgspec
import pytest
from explored_pages import explored
from made_versions import MANIFEST

from agent.errors import Corrupt
from agent.learner.batches import Asked, BatchStore, Ground
from agent.learner.checkpoint import Progress
from agent.learner.orders import revoked_origin
from agent.learner.recording import record_of, settings_in, settings_of, step_of
from agent.learner.rollout import Rollout, Target
from agent.learner.step import Step
from agent.policy.prompt import Prompt
from agent.sections import LearnerSettings, PolicySettings
from agent.settings import Settings
from agent.weights.files import Files
from feedback.records import Earlier, Form, Rewrite
from feedback.version_records import Manifest

SETTINGS = Settings(
    policy=PolicySettings(model="tiny", temperature=0.7), learner=LearnerSettings(runners=2, lr=1e-3)
)
GROUND = Ground(base_model="m", prompt_version="p", device="cpu", threads=1, torch="2", cpu="x")


def wrote(text: str, *ids: int) -> Rewrite:
    return Rewrite(text=text, token_ids=ids, token_logprobs=(-0.1,) * len(ids), temperature=0.7, version=3)


STEP = Step(
    rollouts=[
        Rollout(
            prompt=Prompt(
                query="hose",
                examples=(("lamp", "oak"),),
                form=Form.INSTEAD,
                history=(Earlier("pipe", clicked=True),),
            ),
            own=(wrote("a", 5, 0), wrote("b", 6, 0), wrote("a", 5, 0)),
            rewards=(0.1, 0.3, 0.1),
            gains=(0.1, 0.31, 0.1),
            targets=(Target(text="c", weight=0.5, reward=0.2),),
            found={"": ("x", "y"), "a": ("x", "y"), "b": ("y", "z"), "c": ("z",)},
        ),
        Rollout(prompt=Prompt(query="rug"), targets=(Target(text="", weight=0.1),)),
    ],
    pages=[explored("hose")],
    advantages=[0.25],
    asks=[(77, ["hose"])],
    snapshot_ids=["s1"],
    fresh=True,
)
RECORD = record_of(
    STEP,
    Progress(line=2, updates=9, version=3, position={1: 4}),
    at_ms=5,
    settings=settings_in(SETTINGS),
    ground=GROUND,
)


def test_a_record_holds_what_was_found_once_and_by_whom() -> None:
    group = RECORD.groups[0]
    assert group.objects == ("x", "y", "z")
    assert group.lists == ((0, 1), (1, 2), (2,))
    assert [one.found for one in group.own] == [0, 1, 0]  # the first found what raw did
    assert [one.found for one in group.targets] == [2]
    assert [one.found for one in RECORD.groups[1].targets] == [-1]  # not searched
    assert (RECORD.place, RECORD.version, RECORD.position) == ((2, 9), 3, {1: 4})
    assert RECORD.asks == (Asked(seed=77, groups=(0,)),)


def test_the_step_comes_back_from_the_disk_without_what_was_found(tmp_path: Path) -> None:
    store = BatchStore(Files(tmp_path / "b"), 10)
    store.write(RECORD)
    back = step_of(store.read((2, 9)))
    for was, now in zip(STEP.rollouts, back.rollouts, strict=True):
        assert now.found == {}
        assert (now.prompt, now.own, now.rewards, now.gains, now.targets) == (
            was.prompt,
            was.own,
            was.rewards,
            was.gains,
            was.targets,
        )
    assert (back.pages, back.advantages, back.fresh) == (STEP.pages, [0.25], True)
    assert [(seed, list(asked)) for seed, asked in back.asks] == [(77, ["hose"])]


def test_the_settings_of_a_step_come_back_but_for_its_runners() -> None:
    again = settings_of(RECORD, Settings())
    assert again.policy == SETTINGS.policy
    assert again.learner == SETTINGS.learner.model_copy(update={"runners": 0})


def test_the_newest_are_kept_and_a_step_made_again_takes_the_place_of_the_lost_one(tmp_path: Path) -> None:
    store = BatchStore(Files(tmp_path), 3)
    for update in (1, 2, 3, 4, 4):
        store.write(msgspec.structs.replace(RECORD, line=0, update=update, at_ms=update))
    assert store.places() == [(0, 2), (0, 3), (0, 4)]
    again = BatchStore(Files(tmp_path), 3)  # a restart knows them
    again.write(msgspec.structs.replace(RECORD, line=1, update=3))
    assert again.places() == [(0, 3), (0, 4), (1, 3)]
    again.drop_after((0, 3))
    assert again.places() == [(0, 3)]


def test_a_record_that_is_not_there_or_cut_is_an_error_that_names_it(tmp_path: Path) -> None:
    store = BatchStore(Files(tmp_path), 3)
    with pytest.raises(Corrupt, match=r"000002-00000009.msgpack"):
        store.read((2, 9))
    store.write(RECORD)
    path = tmp_path / "batches" / "000002-00000009.msgpack"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Corrupt, match=r"000002-00000009.msgpack"):
        store.read((2, 9))


def made(version: int, parent: int, of: int = 0) -> Manifest:
    return msgspec.structs.replace(MANIFEST, version=version, parent=parent, of=of)


def test_a_version_comes_from_a_revoked_one_through_any_number_of_parents() -> None:
    known = {m.version: m for m in (made(1, 0), made(2, 1), made(3, 2), made(4, 3, of=1), made(5, 4))}
    assert revoked_origin(3, known, {2}) == 2
    assert revoked_origin(2, known, {2}) == 2
    assert revoked_origin(1, known, {2}) == 0
    assert revoked_origin(5, known, {2, 3}) == 0  # the fourth is the first one's adapter
    assert revoked_origin(5, known, {1}) == 1
    assert revoked_origin(9, known, {1}) == 0  # of which nothing is known
    assert revoked_origin(0, known, {1}) == 0
