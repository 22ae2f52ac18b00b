"""Replay draws a query with what sessions asked before it, as often as they did, and writes it down."""

from collections.abc import Sequence
from typing import Any

import pytest
from toy import QUERIES

from agent.learner.batches import BatchStore
from agent.learner.recording import step_of
from agent.learner.session import LearnerSession
from agent.weights.files import Files
from feedback.evidence.preceding import Preceded
from feedback.records import Earlier

pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("default"),  # RLlib warns of its own old names
]
BEFORE = (Earlier("rug", clicked=True), Earlier("mat"))


class Sessions:
    """Every query but two was asked after the same ones; of the first that has faded."""

    async def preceded(self, queries: Sequence[str], segment: str = "all") -> Preceded:
        del segment
        found: Preceded = {query: {(): 0.0, BEFORE: 2.0} for query in queries}
        found |= {query: {(): 0.0, BEFORE: 0.0} for query in queries if query == QUERIES[0]}
        return {query: some for query, some in found.items() if query != QUERIES[1]}


async def test_a_query_is_drawn_with_the_history_that_sessions_had(build: Any) -> None:  # noqa: ANN401
    session: LearnerSession = await build()
    assert session.parts.histories is None  # off, and the toy's evidence is of no session
    session.parts.histories = Sessions()
    assert (await session.train(max_updates=1)).updates == 1
    rollouts = {one.prompt.query: one for one in session._algorithm.env_runner.last}
    assert len(rollouts) == len(QUERIES)
    told = {query: one.prompt.history for query, one in rollouts.items()}
    assert told == {query: () if query in QUERIES[:2] else BEFORE for query in QUERIES}
    encoder = session.policy.encoder
    plain = encoder.prompt(rollouts[QUERIES[2]].prompt)
    assert "not clicked" in encoder.tokenizer.decode(plain)
    assert all(rollout.own for rollout in rollouts.values())  # written for, searched and scored as ever


async def test_the_record_of_a_step_holds_its_histories(build: Any) -> None:  # noqa: ANN401
    session: LearnerSession = await build()
    session.parts.histories = Sessions()
    await session.train(max_updates=1)
    records = BatchStore(Files(session.parts.settings.weights_dir), 10)
    (place,) = records.places()
    told = {one.prompt.query: one.prompt.history for one in step_of(records.read(place)).rollouts}
    assert told[QUERIES[2]] == BEFORE
    assert told[QUERIES[0]] == ()
