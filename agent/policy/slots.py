"""The engine `transformers`: adapters over one frozen model; one writes, the others wait, prefixes computed.

Guarantees that a slot writes what a policy with that adapter alone would write, whatever wrote before, and
that a bad adapter takes no slot and changes nothing. Not thread safe, as the policy that it owns.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from agent.errors import BadWeights, Transient
from agent.policy.model import Held, Policy
from agent.policy.prompt import Prompt
from feedback.records import Rewrite


class Slots:
    """Holds adapters by version; begins with the policy's own."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._used = policy.held(policy.adapter_state(), policy.version)
        self._held: dict[int, Held] = {self._used.version: self._used}
        policy.switch(self._used)

    @property
    def version(self) -> int:
        """Of the slot in use."""
        return self._used.version

    @property
    def versions(self) -> AbstractSet[int]:
        """Those that can be used."""
        return frozenset(self._held)

    @property
    def base_model(self) -> str:
        """Name and version of what the adapters stand on."""
        return self._policy.base_model

    def hold(self, state: Mapping[str, Any], version: int) -> None:
        """Take an adapter into a slot of its own.

        Raises:
            BadWeights: it does not fit the model, is not finite, or there is no room for it.
        """
        try:
            self._held[version] = self._policy.held(state, version)
        except RuntimeError as error:  # torch's own, such as no memory on the device
            raise BadWeights(f"version {version}: {error}") from error

    def keep(self, versions: AbstractSet[int]) -> None:
        """Let go of all slots but these; the model goes on with its weights until the next use."""
        self._held = {version: held for version, held in self._held.items() if version in versions}

    def use(self, version: int) -> None:
        """Write with this version from now on; milliseconds.

        Raises:
            Transient: no slot holds it.
        """
        held = self._held.get(version)
        if held is None:
            raise Transient(f"this replica does not hold version {version}")
        if held is not self._used:
            self._policy.switch(held)
            self._used = held

    def sample(
        self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
    ) -> list[list[Rewrite]]:
        """See Policy.sample; by the version in use."""
        return self._policy.sample(prompts, n=n, seed=seed, greedy=greedy)

    def close(self) -> None:
        """Do nothing: all of it is in this process."""
