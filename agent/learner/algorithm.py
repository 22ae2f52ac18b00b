"""The algorithm on RLlib's new API stack: sample groups, set advantages, update, hand the weights on."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import gymnasium as gym
import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.connectors.learner.learner_connector_pipeline import LearnerConnectorPipeline
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    TIMERS,
)
from torch import Tensor
from typing_extensions import override

from agent.learner import ray_node
from agent.learner.challengers import estimator_of
from agent.learner.connector import PackGroups
from agent.learner.direct import split
from agent.learner.episodes import set_advantages
from agent.learner.learner import RewriteLearner
from agent.learner.module import RewriteModule
from agent.learner.runner import RewriteRunner
from agent.learner.shards import WholeGroups
from agent.policy.device import device_of
from agent.sections import LearnerSettings
from agent.settings import Settings

GRAD_CLIP = 1.0
HAND_ON_TIMEOUT_S = 60.0


class RewriteGRPOConfig(AlgorithmConfig):  # type: ignore[misc]  # RLlib is not typed
    """RLlib's settings for a policy that writes rewrites."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or RewriteGRPO)
        self.scale = 1.0
        self.learning = LearnerSettings()
        self.env_runner_cls = RewriteRunner
        self.num_env_runners = 0
        self.merge_env_runner_states = self.broadcast_env_runner_states = False  # runners have weights alone
        self.grad_clip, self.grad_clip_by = GRAD_CLIP, "global_norm"
        self.torch_skip_nan_gradients = True  # switches RLlib's own check off; RewriteLearner has one
        self.log_gradients = False
        self.observation_space = self.action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    @classmethod
    def of(cls, settings: Settings, parts: str) -> Self:
        """Return the configuration for the parts entered under the name."""
        config = cls()
        config.scale = settings.learner.imitation_scale
        config.learning = settings.learner
        config.lr = settings.learner.lr
        config.num_learners = settings.learner.learners
        config.num_env_runners = settings.learner.runners
        config.num_gpus_per_env_runner = config.num_gpus_per_learner = ray_node.gpus_each(settings)
        if not settings.learner.learners:  # learns where the process's own policy is
            config.num_gpus_per_learner = int(device_of(settings.policy.device).type == "cuda")
        config.env_config = {"parts": parts}
        config.rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=RewriteModule,
                model_config={"parts": parts, "policy": ray_node.for_actors(settings).policy.model_dump()},
            )
        )
        return config

    @override
    def get_default_learner_class(self) -> type[RewriteLearner]:
        return RewriteLearner

    @override
    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=RewriteModule)

    @override
    def build_learner_connector(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        device: Any = None,
    ) -> LearnerConnectorPipeline:
        return LearnerConnectorPipeline(
            input_observation_space=input_observation_space,
            input_action_space=input_action_space,
            connectors=[PackGroups()],
        )


class RewriteGRPO(Algorithm):  # type: ignore[misc]  # RLlib is not typed
    """One call of `train` is one optimiser step, or none where nothing was sampled."""

    updates = 0
    """Optimiser steps asked for since this object was made."""

    @classmethod
    @override
    def get_default_config(cls) -> RewriteGRPOConfig:
        return RewriteGRPOConfig()

    @override
    def setup(self, config: Any) -> None:
        """Let the process's own runner have the remote ones."""
        super().setup(config)
        if self.config.num_env_runners:
            self.env_runner.group = self.env_runner_group

    @override
    def training_step(self) -> None:
        """Sample, update, hand on."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            episodes = self.env_runner.sample()
        self.metrics.aggregate([self.env_runner.get_metrics()], key=ENV_RUNNER_RESULTS)
        if episodes:
            self.learn(episodes)

    def learn(self, episodes: Sequence[SingleAgentEpisode]) -> None:
        """Make one update from whole groups, on however many learners, and hand the weights on."""
        groups = split(episodes, learners=self.config.num_learners)
        estimator = estimator_of(self.config.learning)
        learners = self.config.num_learners
        set_advantages(groups, estimator=estimator, scale=self.config.scale, learners=learners)
        self.updates += 1
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                training_data=WholeGroups(episodes=list(episodes)),
                timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.updates},
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self.hand_on()

    def hand_on(self) -> None:
        """Give the learners' weights to every policy that is not theirs.

        A runner takes them before it answers the next ask. Waits for runners that are still taking the last
        ones: RLlib alone would leave these out.
        """
        if self.config.num_learners or self.config.num_env_runners:
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group,
                inference_only=True,
                timeout_seconds=HAND_ON_TIMEOUT_S,
            )

    def take_over(self, weights: Mapping[str, Tensor]) -> None:
        """Let all learners and policies go on from these weights."""
        arrays = {name: tensor.numpy() for name, tensor in weights.items()}
        self.learner_group.set_weights({DEFAULT_MODULE_ID: arrays})
        self.hand_on()
