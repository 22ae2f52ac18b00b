"""A Ray to stand on: RLlib wants one even where all learning is in this process."""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from agent.own_ray import start_own_ray, warn_if_open
from agent.sections import LearnerSettings
from agent.settings import Settings

OBJECT_STORE_BYTES = 80 * 1024 * 1024  # Ray's least is 75 MiB
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}


def join(settings: LearnerSettings) -> None:
    """Start a small local Ray for ``local``, else join the cluster; nothing where this process has one.

    Call it in the main thread.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    if ray.is_initialized():
        return
    with _own_sigterm():
        _init(settings)


def gpus_each(settings: Settings) -> int:
    """Return the GPUs of each remote learner and runner: one where Ray has as many, or is told to."""
    actors = settings.learner.learners + settings.learner.runners
    if settings.policy.device == "cpu" or not actors:
        return 0
    return int(settings.policy.device == "cuda" or ray.cluster_resources().get("GPU", 0) >= actors)


def for_actors(settings: Settings) -> Settings:
    """Return the settings for a remote learner or runner: the device is the one that it was given."""
    device = "cuda" if gpus_each(settings) else "cpu"
    return settings.model_copy(update={"policy": settings.policy.model_copy(update={"device": device})})


def _init(settings: LearnerSettings) -> None:
    if settings.ray_address != "local":
        ray.init(address=settings.ray_address, logging_level=logging.WARNING, log_to_driver=False)
        warn_if_open()
        return
    start_own_ray(
        num_cpus=1 + settings.learners + settings.runners,
        object_store_memory=OBJECT_STORE_BYTES,
        logging_level=logging.WARNING,
        log_to_driver=False,
    )


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Put the process's own answer to SIGTERM back: Ray's ends the process with a version in hand."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
        signal.siginterrupt(signal.SIGTERM, False)  # noqa: FBT003 - positional only; as asyncio has it


@contextmanager
def rllib_warnings_off() -> Iterator[None]:
    """Silence RLlib's warnings about its own calls of its own old names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("ray.rllib").setLevel(logging.ERROR)
        logging.getLogger("ray.tune").setLevel(logging.ERROR)
        yield
