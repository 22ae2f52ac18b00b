"""The policy: a frozen language model with a small trained adapter that writes rewrites.

Guarantees that a sample's log-probabilities are of the very distribution that it was drawn from (temperature
included, no top-k, no top-p). Not thread safe: one compute thread owns it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

from agent.policy import lora, sampling
from agent.policy.attention import prefix_cache
from agent.policy.base import Base, load_base
from agent.policy.device import device_of, dtype_of
from agent.policy.frozen import Frozen, Listening
from agent.policy.pack import Group, Packed, pack, packed_logprobs, whole_hidden
from agent.policy.prompt import Encoder, Prompt
from agent.sections import PolicySettings
from feedback.records import Form, Rewrite

ROWS = 32
"""Prompts that are sampled at once; more only cost memory."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """An adapter on the model's device, in use or not."""

    version: int
    state: Mapping[str, Tensor]
    prefixes: dict[Form, Any] = field(default_factory=dict)
    """Keys and values of the prefixes under these weights, as far as they were needed."""


class Policy:
    """Writes rewrites, scores them, takes over adapters."""

    def __init__(self, base: Base, settings: PolicySettings, *, device: torch.device | str = "cpu") -> None:
        self.settings = settings
        self.base_model = base.name
        """Name and version of what the adapter stands on."""
        self.version = 0
        """Of the adapter; 0 is the base model."""
        self.encoder = Encoder(base.tokenizer, settings)
        adapted = lora.inject(base.lm, rank=settings.lora_rank, layers=settings.lora_layers)
        self.lm: Any = adapted.to(device).eval()
        """The causal language model; only its adapter requires gradients."""
        self.device = torch.device(device)
        self._frozen: Frozen | None = None
        self._prefixes: dict[Form, Any] = {}
        self._prefixes_of: tuple[int, ...] = ()

    @classmethod
    def load(cls, settings: PolicySettings) -> Self:
        """Load the base model (converting it once where needed) with a fresh adapter, which changes nothing.

        Raises:
            Permanent: there is no such model, or not the device that is asked for.
            Corrupt: the converted model is not what its manifest says.
        """
        torch.set_num_threads(settings.threads)
        device = device_of(settings.device)
        dtype = dtype_of(settings.dtype, device, settings.model)
        return cls(load_base(settings.model, dtype), settings, device=device)

    def sample(
        self, prompts: Sequence[Prompt], *, n: int, seed: int | None = None, greedy: bool = False
    ) -> list[list[Rewrite]]:
        """Return n rewrites for each prompt, with the log-probability of each of their tokens.

        Args:
            prompts: short and long ones may be mixed.
            n: rewrites of each prompt.
            seed: makes the draws repeatable for the same prompts in the same order.
            greedy: take the likeliest token each time; the n rewrites are then equal.
        """
        generator = None if seed is None else torch.Generator(self.device).manual_seed(seed)
        rewrites: dict[int, list[Rewrite]] = {}
        for form in Form:
            places = [i for i, prompt in enumerate(prompts) if prompt.form is form]
            draw = self._draw(form, generator, greedy=greedy)
            listener = None if greedy else self._listener(form)  # what judges is not scored afterwards
            for some in (places[i : i + ROWS] for i in range(0, len(places), ROWS)):
                asked = [self.encoder.prompt(prompts[i]) for i in some]
                groups = sampling.sample(self.lm, self._prefix(form), asked, n, draw, listener)
                rewrites |= {i: [self._rewrite(one) for one in g] for i, g in zip(some, groups, strict=True)}
        return [rewrites[i] for i in range(len(prompts))]

    def encode(self, text: str, form: Form = Form.ADD) -> tuple[int, ...]:
        """Return the token ids of a rewrite with its end of line."""
        return self.encoder.encode(text, form)

    def pack(self, groups: Sequence[Group]) -> Packed:
        """Return the groups as one batch on the model's device."""
        return pack(groups, self.encoder).to(self.device)

    def score(self, groups: Sequence[Group]) -> Float[Tensor, "rows n tokens"]:
        """Return the log-probabilities of the groups' tokens, with gradients unless they are off."""
        return self.score_packed(self.pack(groups))

    def score_packed(self, packed: Packed) -> Float[Tensor, "rows n tokens"]:
        """Return the same for a batch that is packed already."""
        hidden = self._frozen.hidden(packed) if self._frozen else whole_hidden(self.lm, packed)
        return packed_logprobs(self.lm, packed, hidden, self.settings.temperature)

    def keep_frozen(self) -> None:
        """Keep what the layers below the adapter say of what is sampled and scored: for a policy that learns.

        On a GPU it does nothing: there the time goes elsewhere.
        """
        stack = lora.stack_of(self.lm)
        if self.device.type == "cpu" and len(stack) > self.settings.lora_layers:
            self._frozen = Frozen(self.lm, stack, self.settings.lora_layers)

    @property
    def keeps(self) -> bool:
        """Whether scores depend, in their last bits, on what was sampled and scored before."""
        return self._frozen is not None

    def forget(self) -> None:
        """Drop what is kept of texts: scores then depend on nothing that came before."""
        if self._frozen is not None:
            self._frozen.forget()

    def adapter_state(self) -> dict[str, Tensor]:
        """Return a copy of the trained tensors by stable names, on the CPU."""
        return {name: p.detach().cpu().clone() for name, p in lora.trained(self.lm).items()}

    def load_adapter(self, state: Mapping[str, Tensor], version: int) -> None:
        """Copy the tensors into the model.

        Raises:
            BadWeights: names or shapes differ, or a value is not finite; the model is unchanged.
        """
        lora.copy_in(self.lm, state)
        self.version = version

    @torch.no_grad()
    def held(self, state: Mapping[str, Tensor], version: int) -> Held:
        """Return a copy of the tensors to switch to; the model goes on as it is.

        Raises:
            BadWeights: names or shapes differ, or a value is not finite.
        """
        lora.check(self.lm, state)
        own = lora.trained(self.lm)
        copies = {name: torch.empty_like(own[name]).copy_(tensor) for name, tensor in state.items()}
        return Held(version=version, state=copies)

    def switch(self, held: Held) -> None:
        """Go on with another adapter, and with what was computed under it; takes milliseconds."""
        lora.write(self.lm, held.state)
        self.version = held.version
        self._prefixes, self._prefixes_of = held.prefixes, self._written()

    def _written(self) -> tuple[int, ...]:
        """Return how often each weight was written to, by torch's own counters."""
        return tuple(p._version for p in lora.trained(self.lm).values())  # noqa: SLF001 - has no other name

    def _prefix(self, form: Form) -> Any:  # noqa: ANN401
        """Return the prefix' keys and values, computed anew when any weight was written to."""
        written = self._written()
        if written != self._prefixes_of:
            self._prefixes, self._prefixes_of = {}, written
        if form not in self._prefixes:
            ids = torch.tensor([self.encoder.prefix(form)], device=self.device)
            with torch.inference_mode():
                self._prefixes[form] = prefix_cache(self.lm, ids, torch.ones_like(ids, dtype=torch.bool))
        return self._prefixes[form]

    def _listener(self, form: Form) -> sampling.Listener | None:
        return Listening(self._frozen, self.encoder.prefix(form)) if self._frozen else None

    def _draw(self, form: Form, generator: torch.Generator | None, *, greedy: bool) -> sampling.Draw:
        return sampling.Draw(
            temperature=self.settings.temperature,
            ends=self.encoder.tokenizer.ends,
            limit=self.encoder.max_new_tokens(form),
            generator=generator,
            greedy=greedy,
        )

    def _rewrite(self, drawn: sampling.Drawn) -> Rewrite:
        return Rewrite(
            text=self.encoder.text(drawn.token_ids),
            token_ids=tuple(drawn.token_ids),
            token_logprobs=tuple(drawn.logprobs),
            temperature=self.settings.temperature,
            version=self.version,
        )
