"""Any causal language model is a policy, in either precision: what it samples is what it scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from agent.errors import Permanent
from agent.policy import lora
from agent.policy.base import load_outline
from agent.policy.device import device_of, dtype_of
from agent.policy.model import Policy
from agent.policy.pack import Group
from agent.policy.prompt import Prompt
from agent.sections import PolicySettings
from feedback.records import Form

torch.set_num_threads(1)
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
END = "<|end|>"
PROMPTS = [
    Prompt(query="red couch", examples=(("grey couch", "sofa"), ("oak bed", ""))),
    Prompt(query="rake"),
    Prompt(query="something to hang up a heavy picture", form=Form.INSTEAD),
]
SIZES = {"vocab_size": len(BYTES) + 1, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
LLAMA_LIKE = {**SIZES, "intermediate_size": 64, "num_key_value_heads": 2, "tie_word_embeddings": True}
ENDS = {"bos_token_id": None, "eos_token_id": len(BYTES), "pad_token_id": len(BYTES)}
MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**LLAMA_LIKE, **ENDS)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**LLAMA_LIKE, **ENDS)),
    "sliding window": lambda: MistralForCausalLM(MistralConfig(**LLAMA_LIKE, **ENDS, sliding_window=4096)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES, **ENDS, intermediate_size=64)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**SIZES, **ENDS)),
}


def saved(folder: Path, make: Callable[[], Any]) -> PolicySettings:
    """Return settings that name a folder with a random model and a tokenizer of bytes."""
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*BYTES, END])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END).save_pretrained(folder)
    torch.manual_seed(0)
    model = make()
    for parameter in model.parameters():
        parameter.data *= 3  # at its usual scale it writes every byte alike, whatever it read
    model.save_pretrained(folder)
    return PolicySettings(model=str(folder), lora_rank=4, lora_layers=1, device="cpu", dtype="float32")


def trained_a_little(policy: Policy) -> Policy:
    generator = torch.Generator().manual_seed(1)
    state = {n: 0.3 * torch.randn(t.shape, generator=generator) for n, t in policy.adapter_state().items()}
    policy.load_adapter(state, 1)
    return policy


def largest_difference(policy: Policy) -> float:
    """Return how far recomputed log-probabilities are from the sampled ones, all prompts in one batch."""
    drawn = policy.sample(PROMPTS, n=4, seed=0)
    groups = [
        Group(prompt=prompt, completions=tuple(r.token_ids for r in group))
        for prompt, group in zip(PROMPTS, drawn, strict=True)
    ]
    with torch.no_grad():
        scored = policy.score(groups)
    assert len({len(r.token_ids) for group in drawn for r in group}) > 1  # ragged, as in use
    return max(
        (scored[i, j, : len(r.token_ids)] - torch.tensor(r.token_logprobs)).abs().max().item()
        for i, group in enumerate(drawn)
        for j, r in enumerate(group)
    )


@pytest.mark.parametrize("name", MODELS)
def test_any_model_scores_what_it_sampled_and_learns(name: str, tmp_path: Path) -> None:
    policy = trained_a_little(Policy.load(saved(tmp_path, MODELS[name])))
    assert largest_difference(policy) < 1e-4
    loss = -policy.score([Group(prompt=PROMPTS[0], completions=(policy.encode("sofa"),))]).sum()
    torch.autograd.backward(loss)
    assert all(bool(p.grad.any()) for p in lora.trained(policy.lm).values() if p.grad is not None)
    assert all(p.grad is not None for p in lora.trained(policy.lm).values())


@pytest.mark.parametrize("name", MODELS)
def test_an_outline_is_the_same_model_without_its_weights(name: str, tmp_path: Path) -> None:
    settings = saved(tmp_path, MODELS[name])
    policy, outline = Policy.load(settings), load_outline(settings.model)
    adapted = lora.inject(outline.lm, rank=settings.lora_rank, layers=settings.lora_layers)
    assert {p.device.type for p in adapted.parameters()} == {"meta"}
    lora.check(adapted, policy.adapter_state())
    assert (outline.name, outline.lm.config.vocab_size) == (policy.base_model, SIZES["vocab_size"])
    ours, theirs = policy.encoder.tokenizer, outline.tokenizer
    assert (ours.ends, ours.encode("red couch")) == (theirs.ends, theirs.encode("red couch"))


def test_a_model_without_layers_of_linear_maps_is_refused(tmp_path: Path) -> None:
    class Flat(torch.nn.Module):
        def get_decoder(self) -> torch.nn.Module:
            return self

    with pytest.raises(Permanent, match="Flat has no layers"):
        lora.inject(Flat(), rank=4, layers=1)


def test_in_bfloat16_the_frozen_model_is_half_as_large_and_the_adapter_is_not_rounded() -> None:
    settings = PolicySettings(model="tiny", lora_layers=2, dtype="bfloat16", device="cpu")
    policy = trained_a_little(Policy.load(settings))
    kept = {p.dtype for p in policy.lm.parameters() if not p.requires_grad}
    assert (kept, {p.dtype for p in lora.trained(policy.lm).values()}) == ({torch.bfloat16}, {torch.float32})
    assert largest_difference(policy) < 0.2  # 8 bits of mantissa, through two layers and other paddings
    before = policy.adapter_state()
    optimiser = torch.optim.AdamW([p for p in policy.lm.parameters() if p.requires_grad], lr=1e-4)
    torch.autograd.backward(
        -policy.score([Group(prompt=PROMPTS[0], completions=(policy.encode("sofa"),))]).sum()
    )
    optimiser.step()
    assert all(not torch.equal(before[n], t) for n, t in policy.adapter_state().items())


def test_auto_takes_a_gpu_and_its_short_floats_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == device_of("cpu") == torch.device("cpu")
    able: dict[str, object] = {"cpu_name": "ours"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert dtype_of("auto", torch.device("cpu")) == torch.float32
    able["avx512_bf16"] = True
    assert dtype_of("auto", torch.device("cpu")) == torch.bfloat16
    assert dtype_of("auto", torch.device("cpu"), "tiny") == dtype_of("float32", torch.device("cpu"))
    with pytest.raises(Permanent, match="no CUDA device"):
        device_of("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert device_of("auto") == device_of("cuda") == torch.device("cuda")
    assert device_of("cpu") == torch.device("cpu")
    assert dtype_of("auto", torch.device("cuda")) == torch.bfloat16
    assert dtype_of("float32", torch.device("cuda")) == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert dtype_of("auto", torch.device("cuda")) == torch.float32
