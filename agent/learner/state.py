"""A learner's weights and optimiser as files that hold tensors and nothing that runs.

RLlib's own checkpoints hold pickles, msgpack or not: whoever can write to the folder could run anything in
the learner. Guarantees that a state that was restored makes the same updates, to the bit. What the settings
say (learning rate, betas) is theirs, not the state's.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from agent.errors import Corrupt
from agent.learner.algorithm import RewriteGRPO
from agent.learner.learner import RewriteLearner

T = TypeVar("T")
ADAPTER, OPTIMISER = "adapter.safetensors", "optimiser.safetensors"


def write_state(algorithm: RewriteGRPO, folder: Path) -> None:
    """Make the folder and write the first learner's state; all of them have the same."""
    adapter, moments = _ask(algorithm, RewriteLearner.tensors)
    folder.mkdir(parents=True)
    save_file(dict(adapter), folder / ADAPTER)
    save_file(dict(moments), folder / OPTIMISER)


def restore_state(algorithm: RewriteGRPO, folder: Path, updates: int) -> None:
    """Let all learners and policies go on from a state that was written.

    Raises:
        Corrupt: it cannot be read, or is another model's.
    """
    try:
        adapter, moments = load_file(folder / ADAPTER), load_file(folder / OPTIMISER)
    except (OSError, SafetensorError) as error:
        raise Corrupt(f"checkpoint {folder}: {error}") from error
    go_on_from(algorithm, adapter, moments, updates)


def go_on_from(
    algorithm: RewriteGRPO, adapter: Mapping[str, Tensor], moments: Mapping[str, Tensor], updates: int
) -> None:
    """Let all learners and policies go on from tensors; without moments the optimiser is a fresh one."""
    _ask(algorithm, lambda learner: learner.take_over(adapter, moments, updates))
    algorithm.hand_on()


def _ask(algorithm: RewriteGRPO, question: Callable[[RewriteLearner], T]) -> T:
    """Return the first learner's answer to what all are asked; raises what it raised."""
    (answer, *_) = [result.get() for result in algorithm.learner_group.foreach_learner(question)]
    if isinstance(answer, Exception):
        raise answer
    found: T = answer
    return found
