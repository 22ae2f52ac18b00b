"""The algorithm on RLlib's new API stack: sample groups, set advantages, update, hand the weights on."""

from typing import Any, Self

import gymnasium as gym
import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.connectors.learner.learner_connector_pipeline import LearnerConnectorPipeline
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    TIMERS,
)
from typing_extensions import override

from agent.learner.connector import PackGroups
from agent.learner.direct import split
from agent.learner.episodes import set_advantages
from agent.learner.learner import RewriteLearner
from agent.learner.module import RewriteModule
from agent.learner.runner import RewriteRunner
from agent.settings import Settings

GRAD_CLIP = 1.0


class RewriteGRPOConfig(AlgorithmConfig):  # type: ignore[misc]  # RLlib is not typed
    """RLlib's settings for a policy that writes rewrites."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or RewriteGRPO)
        self.scale = 1.0
        self.direct_min_effective = 0.0
        self.env_runner_cls = RewriteRunner
        self.num_env_runners = 0
        self.grad_clip, self.grad_clip_by = GRAD_CLIP, "global_norm"
        self.torch_skip_nan_gradients = True  # switches RLlib's own check off; RewriteLearner has one
        self.log_gradients = False
        self.observation_space = self.action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    @classmethod
    def of(cls, settings: Settings, parts: str) -> Self:
        """Return the configuration for the parts entered under the name."""
        config = cls()
        config.scale = settings.learner.imitation_scale
        config.direct_min_effective = settings.learner.direct_min_effective
        config.lr = settings.learner.lr
        config.num_learners = settings.learner.learners
        config.env_config = {"parts": parts}
        config.rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=RewriteModule,
                model_config={"parts": parts, "policy": settings.policy.model_dump()},
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
    def training_step(self) -> None:
        """Sample, update, hand on."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            episodes = self.env_runner.sample()
        self.metrics.aggregate([self.env_runner.get_metrics()], key=ENV_RUNNER_RESULTS)
        learners = max(1, self.config.num_learners)
        if len(episodes) < learners:  # an empty shard stops the other learners in all-reduce
            return
        set_advantages(split(episodes, learners=learners), scale=self.config.scale, learners=learners)
        self.updates += 1
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                episodes=episodes, timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.updates}
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        if self.config.num_learners:
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group, inference_only=True
            )
