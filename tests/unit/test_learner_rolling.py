"""Rolling out apart from the learner: who writes what, what is scored, and on which device."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import ray

from agent.errors import SearchFailed
from agent.learner import ray_node
from agent.learner.bridge import Bridge
from agent.learner.rolling import Ask, Hand, Rolled
from agent.policy.model import Policy
from agent.policy.plan import Plan
from agent.policy.prompt import Prompt
from agent.retrieval import Results
from agent.scoring import Snapshot
from agent.sections import LearnerSettings, PolicySettings
from agent.settings import Settings

PROMPTS = tuple(Prompt(query=query) for query in ("oak desk", "tin box", "soft rug"))
GAINS = {prompt.query: {"wanted": 1.0} for prompt in PROMPTS}


class Shop:
    """Brings the wanted object from the second rank to the first for one word."""

    def __init__(self) -> None:
        self.away = False

    async def msearch(self, plans: Sequence[Plan], *, size: int = 10, purpose: str) -> list[Results]:
        del size, purpose
        if self.away:
            raise SearchFailed("away")
        return [self._page("table" in plan.terms) for plan in plans]

    @staticmethod
    def _page(found: bool) -> Results:  # noqa: FBT001
        ids = ("wanted", "other") if found else ("other", "wanted")
        return Results(object_ids=ids, scores=(2.0, 1.0), total=2, took_ms=1)


@pytest.fixture(name="hand")
def _hand() -> Iterator[Hand]:
    settings = Settings(policy=PolicySettings(model="tiny", lora_layers=2), learner=LearnerSettings(group=3))
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(loop.run_forever)
        bridge = Bridge(loop, thread)
        yield Hand(settings=settings, policy=Policy.load(settings.policy), catalogue=Shop(), bridge=bridge)
        loop.call_soon_threadsafe(loop.stop)
        running.result()
    loop.close()


def ask(*prompts: Prompt, beside: Mapping[str, tuple[str, ...]] | None = None) -> Ask:
    frozen = Snapshot(observations={}, snapshot_id="s", gains=GAINS)
    return Ask(prompts=prompts, frozen=frozen, seed=5, version=7, beside=beside or {})


def test_own_samples_are_scored_and_then_the_texts_beside_them(hand: Hand) -> None:
    rolled = hand.roll(ask(*PROMPTS, beside={"tin box": ("table", "")}))
    assert {query: len(group) for query, group in rolled.wrote.items()} == dict.fromkeys(GAINS, 3)
    assert {rewrite.version for group in rolled.wrote.values() for rewrite in group} == {7}
    assert len(rolled.scored["oak desk"]) == 3
    # from rank 2 to rank 1: 1/log2(2) - 1/log2(3); and nothing changes nothing
    assert rolled.scored["tin box"][3:] == [pytest.approx(1 - 0.6309297535714575), 0.0]


def test_the_same_ask_gives_the_same_samples(hand: Hand) -> None:
    assert hand.roll(ask(*PROMPTS)).wrote == hand.roll(ask(*PROMPTS)).wrote


def test_a_failed_search_is_an_error(hand: Hand) -> None:
    hand.catalogue.away = True  # type: ignore[attr-defined]
    with pytest.raises(SearchFailed):
        hand.roll(ask(PROMPTS[0]))


def test_an_ask_is_dealt_to_runners_with_draws_of_their_own_and_joined_again(hand: Hand) -> None:
    whole = ask(*PROMPTS)
    parts = whole.dealt(2)
    assert [part.prompts for part in parts] == [(PROMPTS[0], PROMPTS[2]), (PROMPTS[1],)]
    assert len({part.seed for part in parts}) == 2
    assert [len(part.prompts) for part in whole.dealt(9)] == [1, 1, 1]
    joined = Rolled.joined([hand.roll(part) for part in parts])
    assert joined.wrote.keys() == joined.scored.keys() == GAINS.keys()


@pytest.mark.parametrize(
    ("device", "in_cluster", "learners", "runners", "each"),
    [
        ("auto", 3, 1, 2, 1),
        ("auto", 2, 1, 2, 0),  # too few for all: none is split
        ("auto", 8, 0, 0, 0),
        ("cpu", 8, 1, 2, 0),
        ("cuda", 0, 1, 0, 1),  # asked for: Ray waits for a machine that has it
    ],
)
def test_each_actor_gets_a_gpu_where_there_is_one_for_all(
    device: str, in_cluster: int, learners: int, runners: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": float(in_cluster)})
    settings = Settings(
        policy=PolicySettings.model_validate({"device": device}),
        learner=LearnerSettings(learners=learners, runners=runners),
    )
    assert ray_node.gpus_each(settings) == each
    assert ray_node.for_actors(settings).policy.device == ("cuda" if each else "cpu")
