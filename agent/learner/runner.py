"""The environment runner: the environment is the live catalogue and what shoppers did.

The one in the learner's own process draws queries, freezes their evidence, and rolls out itself or lets
remote runners do it; a remote one only answers what it is asked. With no remote learner the policy of the
former is the learner's own module, one model in the process; else `set_state` brings the weights. It never
publishes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import ray
import structlog
import torch
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO
from typing_extensions import override

from agent.errors import Corrupt, RunnerLost, SearchFailed
from agent.learner import ray_node
from agent.learner.direct import Baseline
from agent.learner.parts import Parts, parts_of
from agent.learner.replay import Waiting
from agent.learner.rolling import Ask, Hand, Rolled
from agent.learner.rollout import Rollout, Target, group_of, targets_for
from agent.learner.step import Step
from agent.logs import told
from agent.policy.prompt import Prompt
from agent.scoring import Snapshot, prompt_for, snapshot
from agent.settings import Settings
from feedback.errors import REDIS_TRANSIENT
from feedback.records import History

log = structlog.get_logger()


class RewriteRunner(EnvRunner):  # type: ignore[misc]  # RLlib is not typed
    """Samples groups for the queries that the pool draws."""

    def __init__(self, *, config: Any, **kwargs: Any) -> None:  # noqa: ANN401 - RLlib's own configuration
        super().__init__(config=config, **kwargs)
        self._parts = parts_of(self.config.env_config["parts"])
        self._remote = bool(kwargs.get("worker_index", 0))
        self._hand: Hand | None = None
        self._weights: dict[str, torch.Tensor] = {}
        """That came before there was a policy to take them."""
        self.group: EnvRunnerGroup | None = None
        """Of remote runners, where there are any."""
        self.baseline = Baseline()
        self.steps = 0
        self.failed_searches = 0
        self.step = Step()
        """What the last `sample` did."""
        self.fresh = True
        """The policy keeps nothing of texts that were sampled before."""
        self.learned: list[Waiting] = []
        """Queries that the last `sample` took off the waiting list."""

    @property
    def parts(self) -> Parts:
        """What the learner's process works with; raises Corrupt in a remote runner."""
        if self._parts is None:
            raise Corrupt("a remote environment runner draws no queries: it is asked")
        return self._parts

    @override
    def sample(self, **kwargs: Any) -> list[SingleAgentEpisode]:
        """Return one step's episodes; none where there is no evidence or a search failed."""
        self.step = Step(fresh=self.fresh)
        self.step.rollouts = self._rollouts()
        self._direct()
        once = self.parts.settings.learner.distinct_samples
        episodes = self.step.episodes(self.parts.policy, distinct=once)
        self.fresh = self.fresh and not episodes
        own = [reward for rollout in self.last for reward in rollout.rewards]
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, len(episodes), reduce="lifetime_sum")
        if own:
            self.metrics.log_value("reward_mean", sum(own) / len(own), window=20)
        return episodes

    @property
    def last(self) -> list[Rollout]:
        """The groups of the last `sample`."""
        return self.step.rollouts

    def forget(self) -> None:
        """Let the next step depend on nothing that was sampled before it."""
        self.parts.policy.forget()
        self.fresh = True

    def _direct(self) -> None:
        """Take pages of the explore arm into the step; none while Redis is away."""
        parts, n = self.parts, self.parts.settings.learner.direct_a_step
        if parts.direct is None:
            return
        try:
            pages = parts.bridge.run(parts.direct.take(n))
        except REDIS_TRANSIENT as error:
            log.warning("direct.failed", error=error)
            return
        self.step.pages = pages
        self.step.advantages = [p.preference - self.baseline.of(p.band, p.preference) for p in pages]

    def _rollouts(self) -> list[Rollout]:
        parts = self.parts
        self.learned = []
        try:
            own = self._filled()
        except (SearchFailed, RunnerLost) as error:
            self.failed_searches += 1
            log.warning("rollout.failed", error=error)
            self.forget()
            self.step = Step(fresh=True)
            return []
        drawn = [rollout.prompt.query for rollout in own]
        self.learned = parts.pool.learned(drawn)
        taught = [Rollout(prompt=self._prompt(q), targets=self._targets(q)) for q in self._imitated(drawn)]
        return [rollout for rollout in (*own, *taught) if rollout.own or rollout.targets]

    def _filled(self) -> list[Rollout]:
        """Return a step's groups; where one tells nothing, another query is drawn as well, a few times.

        Dynamic sampling (DAPO, arXiv 2503.14476, section 3.2), bounded.
        """
        pool, settings = self.parts.pool, self.parts.settings.learner
        rollouts: list[Rollout] = []
        for _ in range(1 + settings.redraws):
            missing = settings.queries_a_step - sum(rollout.tells for rollout in rollouts)
            drawn = [rollout.prompt.query for rollout in rollouts]
            queries = pool.draw(missing, settings.fresh_share, without=drawn)
            if not queries:
                break
            rollouts += self._own(queries)
        return rollouts

    def _own(self, queries: Sequence[str]) -> list[Rollout]:
        """Sample, search and score the groups; queries of whose objects nothing is known get no samples."""
        parts, settings = self.parts, self.parts.settings
        frozen = parts.bridge.run(snapshot(parts.stores.evidence, queries, parts.totals, settings))
        before = self._histories(queries)
        prompts = {query: self._prompt(query, before.get(query, ())) for query in queries}
        targets = {query: self._targets(query) for query in queries}
        rolled = self._rolled(
            Ask(
                prompts=self._written_for(prompts, frozen),
                frozen=frozen,
                seed=parts.rng.getrandbits(32),
                version=parts.policy.version,
                beside={query: tuple(one.text for one in some) for query, some in targets.items()},
            )
        )
        self.step.snapshot_ids.append(frozen.snapshot_id)
        log.debug("rollout.scored", snapshot_id=frozen.snapshot_id, queries=len(rolled.scored))
        rollouts = [
            replace(
                group_of(
                    prompts[q],
                    rolled.wrote.get(q, ()),
                    targets[q],
                    rolled.scored.get(q, ()),
                    settings.learner,
                ),
                found=rolled.found.get(q, {}),
            )
            for q in queries
        ]
        for query, rollout in zip(queries, rollouts, strict=True):
            parts.pool.found(query, frozen.observations.get(query, 0.0), taught=rollout.tells)
        return rollouts

    def _written_for(self, prompts: Mapping[str, Prompt], frozen: Snapshot) -> tuple[Prompt, ...]:
        """Return the prompts that the policy answers: of queries that can be judged, where it is to try."""
        if self.parts.settings.learner.teachers == "candidates":
            return ()
        return tuple(prompt for query, prompt in prompts.items() if frozen.judged(query))

    def _rolled(self, ask: Ask) -> Rolled:
        """Roll out here, or on the remote runners that are there.

        Raises:
            SearchFailed: a search has no answer.
            RunnerLost: a remote runner gave none.
        """
        self.steps += 1
        if not ask.prompts:
            return Rolled(wrote={}, scored={})
        remote = self.group.healthy_worker_ids() if self.group else []
        if self.group is None or not remote:
            self.step.asks.append((ask.seed, [prompt.query for prompt in ask.prompts]))
            return self._own_hand().roll(ask)
        asks = ask.dealt(len(remote))
        settings = ray_node.for_actors(self.parts.settings)
        calls = [partial(answered, ask=one, settings=settings) for one in asks]
        answers = self.group.foreach_env_runner(
            calls, local_env_runner=False, remote_worker_ids=remote[: len(calls)]
        )
        failed = [answer for answer in answers if isinstance(answer, str)]
        if failed:
            raise SearchFailed(failed[0])
        if len(answers) < len(asks):
            raise RunnerLost(f"{len(asks) - len(answers)} of {len(asks)} runners gave no answer")
        return Rolled.joined(answers)

    def _own_hand(self) -> Hand:
        if self._hand is None:
            parts = self.parts
            self._hand = Hand(
                settings=parts.settings,
                policy=parts.policy,
                catalogue=parts.stores.catalogue,
                bridge=parts.bridge,
            )
        return self._hand

    def answer(self, ask: Ask, settings: Settings) -> Rolled | str:
        """Roll out in a remote runner; return why not, where a search failed."""
        if self._hand is None:
            self._hand = Hand.apart(settings)
        if self._weights:
            self._hand.policy.load_adapter(self._weights, ask.version)
            self._weights = {}
        try:
            return self._hand.roll(ask)
        except SearchFailed as error:
            return told(error)

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

    def _histories(self, queries: Sequence[str]) -> dict[str, History]:
        """Return what a session asked before each query, drawn as often as sessions did; none for most."""
        parts = self.parts
        if parts.histories is None:
            return {}
        known = parts.bridge.run(parts.histories.preceded(queries))
        return {
            query: parts.rng.choices(list(some), list(some.values()))[0]
            for query, some in known.items()
            if any(some.values())
        }

    def _prompt(self, query: str, history: History = ()) -> Prompt:
        parts = self.parts
        hidden = parts.pool.clusters.held_back
        return prompt_for(query, parts.stores.index, parts.settings, hidden=hidden, history=history)

    def _targets(self, query: str) -> tuple[Target, ...]:
        return targets_for(query, self.parts.stores.index, self.parts.settings.learner)

    @override
    def get_spaces(self) -> dict[str, Any]:
        """Return the spaces that RLlib insists on; nothing uses them."""
        spaces = (self.config.observation_space, self.config.action_space)
        return {INPUT_ENV_SPACES: spaces, DEFAULT_MODULE_ID: spaces}

    def get_state(self, *args: object, **kwargs: object) -> dict[str, Any]:
        """Return the weights, which a runner that was started again takes over, and a count."""
        del args, kwargs
        state: dict[str, Any] = {WEIGHTS_SEQ_NO: self.steps}
        if self._parts is not None:
            tensors = self._parts.policy.adapter_state()
            weights = {name: tensor.numpy() for name, tensor in tensors.items()}
            state[COMPONENT_RL_MODULE] = {DEFAULT_MODULE_ID: weights}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over the weights of learners in other processes than this."""
        weights = state.get(COMPONENT_RL_MODULE)
        if weights is None or not (self._remote or self.config.num_learners):
            return
        held = ray.get(weights) if isinstance(weights, ray.ObjectRef) else weights
        arrays = held.get(DEFAULT_MODULE_ID, held)
        tensors = {name: torch.tensor(array) for name, array in arrays.items()}
        if self._remote:
            self._weights = tensors
        else:
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


def answered(runner: RewriteRunner, ask: Ask, settings: Settings) -> Rolled | str:
    """Ask a runner in its own process; settings come along: RLlib's configuration is written to disk."""
    return runner.answer(ask, settings)
