"""The engine `vllm`: prompts go to a server, which holds base model and adapters; here are only their names.

Guarantees those of `agent.policy.engine`, as far as the server does what it is asked. That it reports
log-probabilities after the temperature, which by default it does not, is found out each minute, and nothing
is sampled from one that doesn't. That its weights are those of `policy.model` is for whoever starts it.

A server that was started anew has lost the adapters: it gets a version again when that is next asked for.
"""

import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Self

import torch

from agent.errors import Transient
from agent.policy import lora
from agent.policy.base import Base, load_outline
from agent.policy.prompt import Encoder, Prompt
from agent.policy.vllm.adapters import PeftAdapter, exported
from agent.policy.vllm.completions import GREEDY_TEMPERATURE, Draws, Written, asking, read
from agent.policy.vllm.loras import Loras
from agent.policy.vllm.meeting import meet
from agent.policy.vllm.server import NOT_FOUND, Declined, Server
from agent.sections import PolicySettings
from agent.settings import Settings
from feedback.records import Form, Rewrite

PROMPTS = 32
"""In a request."""
LOAD_S = 20.0
"""For an adapter: files of some megabytes, which the server copies to its GPU."""
MET_S = 60.0
"""How long it is taken for granted who the server is: it may have been started anew, differently."""
SEEDS = 2**62


class VllmEngine:
    """See `agent.policy.engine.Engine`."""

    def __init__(
        self, base: Base, server: Server, settings: PolicySettings, *, folder: Path, prefix: str
    ) -> None:
        """Take a model's outline, and the server that has its weights.

        Args:
            base: see `load_outline`.
            server: asked when there is something to do.
            settings: of the policy.
            folder: where adapters are written; the server sees it at the same path.
            prefix: what the names of this shop's adapters begin with.
        """
        self.base_model = base.name
        self._n_vocabulary = int(base.lm.config.vocab_size)
        self._lm = lora.inject(base.lm, rank=settings.lora_rank, layers=settings.lora_layers)
        self._encoder = Encoder(base.tokenizer, settings)
        self._server, self._settings, self._prefix = server, settings, prefix
        self._loras = Loras(server, folder)
        self._held: dict[int, PeftAdapter | None] = {0: None}
        self._used = 0
        self._served = ""
        """What the server calls the base model; empty: it is to be met first."""
        self._met_at_s = 0.0

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Return the engine of the settings; the server need not be there yet.

        Raises:
            Permanent: there is no such model, the address is none, or the key cannot be read.
            Corrupt: the converted model is not what its manifest says.
        """
        policy = settings.policy
        torch.set_num_threads(policy.threads)
        server, base = Server.of(policy), load_outline(policy.model)
        return cls(base, server, policy, folder=settings.vllm_dir, prefix=f"unseen-{settings.tenant}")

    @property
    def version(self) -> int:
        """That is in use."""
        return self._used

    @property
    def versions(self) -> AbstractSet[int]:
        """Those that can be used."""
        return frozenset(self._held)

    def hold(self, state: Mapping[str, Any], version: int) -> None:
        """Have the server take a version's tensors; raises BadWeights, Transient."""
        lora.check(self._lm, state)
        named = f"{self._prefix}-{version}"
        adapter = exported(self._lm, state, named=named, base_model=self.base_model)
        until = time.monotonic() + LOAD_S
        self._meet(until)
        self._loras.give(adapter, until)
        self._held[version] = adapter

    def keep(self, versions: AbstractSet[int]) -> None:
        """Let go of all slots but these; the server is asked to forget them, now or at the next change."""
        gone = [one for version, one in self._held.items() if version not in versions and one is not None]
        self._held = {version: one for version, one in self._held.items() if version in versions}
        self._loras.take_away(gone, self._settings.vllm_timeout_s)

    def use(self, version: int) -> None:
        """Write with this version from now on; raises Transient."""
        if version not in self._held:
            raise Transient(f"this replica does not hold version {version}")
        self._used = version

    def sample(
        self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
    ) -> list[list[Rewrite]]:
        """Return n rewrites for each prompt by the version in use; raises Transient."""
        self.use(self._used)  # it may have been let go of
        rewrites: dict[int, list[Rewrite]] = {}
        until = time.monotonic() + self._settings.vllm_timeout_s
        for some in _requests(prompts, 1 if seed is not None else PROMPTS):
            draws = Draws(
                temperature=0.0 if greedy else self._settings.temperature,
                max_tokens=self._encoder.max_new_tokens(prompts[some[0]].form),
                ends=self._encoder.tokenizer.ends,
                n=n,
                seed=None if seed is None else (seed + some[0] * n) % SEEDS,
            )
            groups = self._written([self._tokens(prompts[i]) for i in some], draws, until)
            rewrites |= {
                i: [self._rewrite(one, draws) for one in g] for i, g in zip(some, groups, strict=True)
            }
        return [rewrites[i] for i in range(len(prompts))]

    def close(self) -> None:
        """Close the connections; the server keeps the adapters for whoever comes next."""
        self._server.close()

    def _tokens(self, prompt: Prompt) -> tuple[int, ...]:
        return (*self._encoder.prefix(prompt.form), *self._encoder.prompt(prompt))

    def _rewrite(self, written: Written, draws: Draws) -> Rewrite:
        return Rewrite(
            text=self._encoder.text(written.token_ids),
            token_ids=written.token_ids,
            token_logprobs=written.logprobs,
            temperature=draws.temperature or GREEDY_TEMPERATURE,
            version=self._used,
        )

    def _written(self, prompts: Sequence[tuple[int, ...]], draws: Draws, until: float) -> list[list[Written]]:
        try:
            answer = self._completed(prompts, draws, until)
        except Declined as error:
            if error.status != NOT_FOUND:
                raise
            self._give_again()
            answer = self._completed(prompts, draws, time.monotonic() + self._settings.vllm_timeout_s)
        return read(answer, len(prompts), draws, self._n_vocabulary)

    def _completed(self, prompts: Sequence[tuple[int, ...]], draws: Draws, until: float) -> bytes:
        self._meet(until)
        adapter = self._held[self._used]
        try:
            return self._server.complete(
                asking(adapter.name if adapter else self._served, prompts, draws), until
            )
        except Transient:
            self._served = ""  # what comes back may be another server
            raise

    def _give_again(self) -> None:
        """Give the version in use to a server that has lost it."""
        until = time.monotonic() + LOAD_S
        self._meet(until)
        adapter = self._held[self._used]
        if adapter is not None:
            self._loras.give(adapter, until)

    def _meet(self, until: float) -> None:
        if not self._served or time.monotonic() - self._met_at_s > MET_S:
            self._served = ""
            self._served = meet(self._server, self._encoder.prefix(Form.ADD), until)
            self._met_at_s = time.monotonic()


def _requests(prompts: Sequence[Prompt], most: int) -> list[list[int]]:
    """Return the places of prompts that go in one request: of one form, which bounds what is written.

    Args:
        prompts: short and long ones.
        most: in a request; 1 where draws have a seed, since vLLM gives each prompt of a request the same.
    """
    places = [[i for i, prompt in enumerate(prompts) if prompt.form is form] for form in Form]
    return [some[at : at + most] for some in places for at in range(0, len(some), most)]
