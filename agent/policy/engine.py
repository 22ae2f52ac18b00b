"""Who writes a replica's rewrites: `transformers` in the process (the default), or a vLLM server.

An engine guarantees that a rewrite's log-probabilities come from the engine that sampled it and are of the
distribution that it was sampled from: softmax(logits / temperature) with the temperature that the rewrite
carries, no top-k, no top-p. Learner and gate need gradients, or scores of given texts: they use
`agent.policy.model.Policy` whatever the engine is.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from agent.policy.prompt import Prompt
from agent.settings import Settings
from feedback.records import Rewrite


class Engine(Protocol):
    """Adapters by version over one base model, of which one is in use. One thread owns it.

    Version 0 is the base model; it is held from the start.
    """

    @property
    def version(self) -> int:
        """That is in use."""
        ...

    @property
    def versions(self) -> AbstractSet[int]:
        """Those that can be used."""
        ...

    @property
    def base_model(self) -> str:
        """Name and revision of what the adapters stand on."""
        ...

    def hold(self, state: Mapping[str, Any], version: int) -> None:
        """Take a version's tensors, by the names of `agent.policy.lora`, into a slot of its own.

        Raises:
            BadWeights: they are not this model's adapter, or the engine does not take them; no slot is taken.
            Transient: it could not be done now.
        """
        ...

    def keep(self, versions: AbstractSet[int]) -> None:
        """Let go of all slots but these, which cannot be used any more; `use` another before you sample."""
        ...

    def use(self, version: int) -> None:
        """Write with this version from now on.

        Raises:
            Transient: no slot holds it.
        """
        ...

    def sample(
        self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
    ) -> list[list[Rewrite]]:
        """Return n rewrites for each prompt by the version in use, each with its tokens' log-probabilities.

        Args:
            prompts: short and long ones may be mixed.
            n: rewrites of each prompt.
            seed: makes the draws repeatable for the same prompts in the same order, within one engine.
            greedy: take the likeliest token each time; the n rewrites are then equal.

        Raises:
            Transient: the engine gave no answer, or one that cannot be used.
        """
        ...

    def close(self) -> None:
        """Close its connections, where it has any."""
        ...


def load_engine(settings: Settings) -> Engine:
    """Return the engine that the settings name; takes seconds, and waits for no server.

    Raises:
        Permanent: there is no such model, not the device that is asked for, or a key cannot be read.
        Corrupt: the converted model is not what its manifest says.
    """
    # torch, which the gateway's process never needs
    if settings.policy.engine == "vllm":
        from agent.policy.vllm.engine import VllmEngine  # noqa: PLC0415

        return VllmEngine.load(settings)
    from agent.policy.model import Policy  # noqa: PLC0415
    from agent.policy.slots import Slots  # noqa: PLC0415

    return Slots(Policy.load(settings.policy))
