"""What a learner in this process is made of: policy, pool, and RLlib's algorithm around them."""

import random
import uuid

import torch

from agent.learner import parts as process
from agent.learner import ray_node
from agent.learner.algorithm import RewriteGRPO, RewriteGRPOConfig
from agent.learner.bridge import Bridge
from agent.learner.explored import DirectSource
from agent.learner.parts import Parts, Stores
from agent.learner.replay import QueryPool, Weighing
from agent.policy.model import Policy
from agent.settings import Settings
from feedback.evidence.clusters import Clusters
from feedback.evidence.preceding import HistoryReader
from feedback.evidence.reading import EvidenceReader


def parts_for(settings: Settings, stores: Stores, bridge: Bridge, seed: int) -> Parts:
    """Load the policy and make the pool; called in the compute thread."""
    policy = Policy.load(settings.policy)
    policy.keep_frozen()
    torch.set_num_threads(settings.learner.threads)
    rng = random.Random(seed)
    weighing = Weighing(precise_from=settings.learner.precise_from, dull_floor=settings.learner.dull_floor)
    pool = QueryPool(Clusters(settings.learner.held_back_share), rng, {}, weighing)
    parts = Parts(settings=settings, stores=stores, policy=policy, pool=pool, bridge=bridge, rng=rng)
    if stores.redis is not None and settings.learner.direct_a_step:
        parts.direct = DirectSource(
            stores.redis, stores.keys, settings.learner, stores.clock, policy=policy, clusters=pool.clusters
        )
    if isinstance(stores.evidence, EvidenceReader) and stores.redis is not None and settings.policy.history:
        parts.histories = HistoryReader(stores.redis, stores.keys, stores.evidence)
    return parts


def algorithm_for(parts: Parts) -> RewriteGRPO:
    """Enter the parts and build the algorithm that finds them; called in the compute thread."""
    name = uuid.uuid4().hex
    process.enter(name, parts)
    with ray_node.rllib_warnings_off():
        algorithm: RewriteGRPO = RewriteGRPOConfig.of(parts.settings, name).build_algo()
        return algorithm


def stop(algorithm: RewriteGRPO) -> None:
    """Stop the algorithm and let go of its parts; called in the compute thread."""
    algorithm.stop()
    process.leave(algorithm.config.env_config["parts"])
