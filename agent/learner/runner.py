"""The environment runner: the environment is the live catalogue and what shoppers did.

Each `sample` draws queries, lets the current policy write, searches, scores. With no remote learner its
policy is the learner's own module, one model in the process; else `set_state` brings the weights. It never
publishes.
"""

from collections.abc import Sequence
from typing import Any

import ray
import structlog
import torch
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO
from typing_extensions import override

from agent.errors import Corrupt, SearchFailed
from agent.learner.direct import Baseline, direct_episode
from agent.learner.episodes import episodes_of
from agent.learner.parts import Parts, parts_of
from agent.learner.replay import Waiting
from agent.learner.rollout import Rollout, prompt_for, rewards, snapshot, targets_for
from agent.policy.prompt import Prompt
from feedback.errors import REDIS_TRANSIENT
from feedback.records import Rewrite

log = structlog.get_logger()


class RewriteRunner(EnvRunner):  # type: ignore[misc]  # RLlib is not typed
    """Samples groups for the queries that the pool draws."""

    def __init__(self, *, config: Any, **kwargs: Any) -> None:  # noqa: ANN401 - RLlib's own configuration
        super().__init__(config=config, **kwargs)
        parts = parts_of(self.config.env_config["parts"])
        if parts is None:
            raise Corrupt("the environment runner works in the learner's own process only")
        self.parts: Parts = parts
        self.baseline = Baseline()
        self.steps = 0
        self.failed_searches = 0
        self.last: list[Rollout] = []
        """What the last `sample` did."""
        self.learned: list[Waiting] = []
        """Queries that the last `sample` took off the waiting list."""

    @override
    def sample(self, **kwargs: Any) -> list[SingleAgentEpisode]:
        """Return one step's episodes; none where there is no evidence or a search failed."""
        self.last = self._rollouts()
        episodes = [e for rollout in self.last for e in episodes_of(rollout, self.parts.policy)]
        episodes += self._direct()
        own = [reward for rollout in self.last for reward in rollout.rewards]
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, len(episodes), reduce="lifetime_sum")
        if own:
            self.metrics.log_value("reward_mean", sum(own) / len(own), window=20)
        return episodes

    def _direct(self) -> list[SingleAgentEpisode]:
        """Return pages of the explore arm; none while Redis is away."""
        parts, n = self.parts, self.parts.settings.learner.direct_a_step
        if parts.direct is None:
            return []
        try:
            pages = parts.bridge.run(parts.direct.take(n))
        except REDIS_TRANSIENT as error:
            log.warning("direct.failed", reason=str(error))
            return []
        return [direct_episode(page, parts.policy, self.baseline) for page in pages]

    def _rollouts(self) -> list[Rollout]:
        parts, settings = self.parts, self.parts.settings.learner
        drawn = parts.pool.draw(settings.queries_a_step, settings.fresh_share)
        imitated = self._imitated(drawn)
        self.learned = []
        try:
            own = self._own(drawn)
        except SearchFailed as error:
            self.failed_searches += 1
            log.warning("rollout.failed", reason=str(error))
            return []
        self.learned = parts.pool.learned(drawn)
        taught = [Rollout(prompt=self._prompt(q), targets=self._targets(q)) for q in imitated]
        return [rollout for rollout in (*own, *taught) if rollout.own or rollout.targets]

    def _own(self, queries: Sequence[str]) -> list[Rollout]:
        """Sample, search and score the groups; queries of whose objects nothing is known get no samples."""
        parts = self.parts
        if not queries:
            return []
        frozen = parts.bridge.run(snapshot(parts.stores.evidence, queries, parts.totals, parts.settings))
        prompts = {query: self._prompt(query) for query in queries}
        wrote = self._wrote({q: prompt for q, prompt in prompts.items() if frozen.judged(q)})
        texts = {query: [one.text for one in group] for query, group in wrote.items()}
        scored = parts.bridge.run(rewards(parts.stores.catalogue, texts, frozen, parts.settings))
        log.debug("rollout.scored", snapshot_id=frozen.snapshot_id, queries=len(scored))
        return [
            Rollout(
                prompt=prompt,
                own=tuple(wrote.get(query, ())),
                rewards=tuple(scored.get(query, ())),
                targets=self._targets(query),
            )
            for query, prompt in prompts.items()
        ]

    def _wrote(self, prompts: dict[str, Prompt]) -> dict[str, list[Rewrite]]:
        """Return the current policy's samples."""
        parts = self.parts
        self.steps += 1
        seed = parts.rng.getrandbits(32)
        drawn = parts.policy.sample(list(prompts.values()), n=parts.settings.learner.group, seed=seed)
        return dict(zip(prompts, drawn, strict=True))

    def _imitated(self, drawn: Sequence[str]) -> list[str]:
        """Return further queries that have a verified rewrite, some of them the empty one."""
        parts, settings = self.parts, self.parts.settings.learner
        silent = round(settings.imitate_a_step * settings.silent_share)
        out = set(drawn)

        def has(query: str, *, text: bool) -> bool:
            target = self._targets(query)
            return query not in out and bool(target) and bool(target[0].text) is text

        loud = parts.pool.replay(settings.imitate_a_step - silent, lambda query: has(query, text=True))
        return loud + parts.pool.replay(min(silent, len(loud)), lambda query: has(query, text=False))

    def _prompt(self, query: str) -> Prompt:
        parts = self.parts
        return prompt_for(query, parts.stores.index, parts.settings, hidden=parts.pool.clusters.held_back)

    def _targets(self, query: str) -> Any:  # noqa: ANN401 - see targets_for
        return targets_for(query, self.parts.stores.index, self.parts.settings.learner)

    @override
    def get_spaces(self) -> dict[str, Any]:
        """Return the spaces that RLlib insists on; nothing uses them."""
        spaces = (self.config.observation_space, self.config.action_space)
        return {INPUT_ENV_SPACES: spaces, DEFAULT_MODULE_ID: spaces}

    def get_state(self, *args: object, **kwargs: object) -> dict[str, Any]:
        """Return no more than a count: how far learning has come stands in the learner's checkpoint."""
        del args, kwargs
        return {WEIGHTS_SEQ_NO: self.steps}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a remote learner's weights."""
        weights = state.get(COMPONENT_RL_MODULE)
        if weights is None or self.config.num_learners == 0:
            return
        held = ray.get(weights) if isinstance(weights, ray.ObjectRef) else weights
        arrays = held.get(DEFAULT_MODULE_ID, held)
        tensors = {name: torch.as_tensor(array) for name, array in arrays.items()}
        self.parts.policy.load_adapter(tensors, self.parts.policy.version)

    @override
    def get_metrics(self) -> Any:
        """Return what was logged since."""
        return self.metrics.reduce()

    @override
    def assert_healthy(self) -> None:
        """Do nothing: an outage shows as a step without episodes."""

    @override
    def stop(self) -> None:
        """Do nothing: the clients are the caller's."""
