"""The policy's own promises, on the tiny model."""

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from agent.errors import BadWeights, Corrupt, Permanent
from agent.policy import smollm2
from agent.policy.model import Policy
from agent.policy.pack import Group
from agent.policy.prompt import Prompt
from agent.sections import PolicySettings
from feedback.records import Form, Rewrite

torch.set_num_threads(1)
SETTINGS = PolicySettings(model="tiny", lora_rank=4, lora_layers=1)
PROMPTS = [Prompt(query="red couch"), Prompt(query="rake", examples=(("hoe", ""), ("spade", "shovel")))]


@pytest.fixture(name="policy")
def _policy() -> Policy:
    return Policy.load(SETTINGS)


def noise(policy: Policy, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = policy.adapter_state()
    return {name: torch.randn(tensor.shape, generator=generator) for name, tensor in state.items()}


def test_a_seed_repeats_the_samples(policy: Policy) -> None:
    one = policy.sample(PROMPTS, n=3, seed=7)
    assert policy.sample(PROMPTS, n=3, seed=7) == one
    assert policy.sample(PROMPTS, n=3, seed=8) != one


def test_greedy_rewrites_are_equal_and_the_likeliest(policy: Policy) -> None:
    greedy = policy.sample(PROMPTS[:1], n=2, greedy=True)[0]
    assert greedy[0].token_ids == greedy[1].token_ids
    first = policy.sample(PROMPTS[:1], n=50, seed=0)[0]
    assert greedy[0].token_logprobs[0] >= max(rewrite.token_logprobs[0] for rewrite in first)


def test_a_rewrite_stops_at_the_end_of_its_line_or_at_the_limit(policy: Policy) -> None:
    newline = policy.encoder.tokenizer.newline
    groups = policy.sample([Prompt(query="hoe"), Prompt(query="hoe", form=Form.INSTEAD)], n=40, seed=1)
    for group, limit in zip(groups, (8, 16), strict=True):
        for rewrite in group:
            assert newline not in rewrite.token_ids[:-1]
            assert rewrite.token_ids[-1] == newline or len(rewrite.token_ids) == limit
            assert len(rewrite.token_logprobs) == len(rewrite.token_ids)
        assert max(len(rewrite.token_ids) for rewrite in group) == limit
        assert any(rewrite.token_ids[-1] == newline for rewrite in group)


def test_a_prompt_does_not_feel_its_neighbours_in_the_batch(policy: Policy) -> None:
    many = [Prompt(query=f"query {'x' * i}") for i in range(40)]
    together = policy.sample(many, n=1, greedy=True)
    assert [[r.text for r in g] for g in together] == [
        [r.text for r in policy.sample([p], n=1, greedy=True)[0]] for p in many
    ]


def test_a_fresh_adapter_changes_nothing_and_is_the_same_everywhere(policy: Policy) -> None:
    state = policy.adapter_state()
    assert all(not tensor.any() for name, tensor in state.items() if "lora_B" in name)
    torch.rand(3)  # another process has drawn other numbers before
    other = Policy.load(SETTINGS).adapter_state()
    assert all(torch.equal(tensor, other[name]) for name, tensor in state.items())


def test_an_adapter_carries_over_with_its_version(policy: Policy) -> None:
    policy.load_adapter(noise(policy), 3)
    other = Policy.load(SETTINGS)
    base = other.sample(PROMPTS, n=4, seed=0)
    other.load_adapter(policy.adapter_state(), 3)
    rewrites = other.sample(PROMPTS, n=4, seed=0)
    assert rewrites == policy.sample(PROMPTS, n=4, seed=0)
    assert [r.token_ids for g in rewrites for r in g] != [r.token_ids for g in base for r in g]
    assert {r.version for g in rewrites for r in g} == {3}


def test_the_base_model_has_version_0_and_the_temperature_is_said(policy: Policy) -> None:
    rewrite: Rewrite = policy.sample(PROMPTS, n=1)[0][0]
    assert (rewrite.version, rewrite.temperature) == (0, SETTINGS.temperature)


def test_a_bad_adapter_is_refused_and_leaves_the_model_as_it_was(policy: Policy) -> None:
    before = policy.adapter_state()
    good = noise(policy)
    name = list(good)[-1]
    missing = {key: tensor for key, tensor in good.items() if key != name}
    bent = {**good, name: good[name][:-1]}
    endless = {**good, name: good[name] / 0.0}
    for state in (missing, bent, endless):
        with pytest.raises(BadWeights, match="adapter"):
            policy.load_adapter(state, 9)
    assert policy.version == 0
    assert all(torch.equal(tensor, before[key]) for key, tensor in policy.adapter_state().items())


def test_a_gradient_step_renews_the_prefix(policy: Policy) -> None:
    policy.load_adapter(noise(policy), 1)
    policy.sample(PROMPTS, n=1)
    parameters = [p for p in policy.lm.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=0.1)
    group = Group(prompt=PROMPTS[0], completions=(policy.encode("sofa"),))
    torch.autograd.backward(-policy.score([group]).sum())
    optimiser.step()
    sampled = policy.sample(PROMPTS[:1], n=1, seed=0)[0][0]
    with torch.no_grad():
        again = policy.score([Group(prompt=PROMPTS[0], completions=(sampled.token_ids,))])
    torch.testing.assert_close(again[0, 0], torch.tensor(sampled.token_logprobs), atol=1e-4, rtol=0)


def test_sampling_builds_no_graph_and_keeps_none(policy: Policy) -> None:
    modes: list[bool] = []
    policy.lm.get_decoder().register_forward_hook(lambda *_: modes.append(torch.is_inference_mode_enabled()))
    policy.sample(PROMPTS, n=2, seed=0)
    assert len(modes) >= 3  # prefix, prompts, at least one step
    assert all(modes)
    gc.collect()
    kept = [o for o in gc.get_objects() if type(o) is torch.Tensor and o.requires_grad]
    assert kept == []


def test_rewrites_stay_with_their_query_when_others_are_done() -> None:
    policy = Policy.load(SETTINGS.model_copy(update={"max_new_tokens": 64}))
    prompts = [Prompt(query=f"{'y' * i} rake") for i in range(16)]
    rewrites = [group[0] for group in policy.sample(prompts, n=1, seed=3)]
    lengths = [len(rewrite.token_ids) for rewrite in rewrites]
    assert sum(length == max(lengths) for length in lengths) <= 8  # rows have left the batch
    groups = [Group(prompt=p, completions=(r.token_ids,)) for p, r in zip(prompts, rewrites, strict=True)]
    with torch.no_grad():
        scored = policy.score(groups)[:, 0]
    for row, rewrite in zip(scored, rewrites, strict=True):
        expected = torch.tensor(rewrite.token_logprobs)
        torch.testing.assert_close(row[: len(expected)], expected, atol=1e-4, rtol=0)


def test_imitation_teaches_a_rewrite(policy: Policy) -> None:
    optimiser = torch.optim.AdamW([p for p in policy.lm.parameters() if p.requires_grad], lr=2e-2)
    group = Group(prompt=PROMPTS[0], completions=(policy.encode("sofa"),))
    for _ in range(40):
        optimiser.zero_grad()
        torch.autograd.backward(-policy.score([group]).sum())
        optimiser.step()
    assert policy.sample(PROMPTS[:1], n=1, greedy=True)[0][0].text == "sofa"


def test_an_unknown_model_is_permanent(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="cannot load the model"):
        Policy.load(SETTINGS.model_copy(update={"model": str(tmp_path)}))


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    smollm2._write_manifest(folder)
    return folder


def test_a_converted_model_that_is_whole_passes(tmp_path: Path) -> None:
    folder = made(tmp_path / "model")
    smollm2.verify(folder)
    # printf weights | sha256sum
    assert smollm2.name(folder) == "SmolLM2-135M-Instruct@9a129038d9a0"


def test_a_flipped_byte_is_found_by_the_checksum_and_a_cut_file_at_every_load(tmp_path: Path) -> None:
    folder = made(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"weightz")
    with pytest.raises(Corrupt, match="not what was converted"):
        smollm2.verify(folder)
    (folder / "model.safetensors").write_bytes(b"weight")
    with pytest.raises(Corrupt, match="cut short"):
        smollm2._check_sizes(folder)


def test_two_at_once_convert_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conversions: list[Path] = []

    def convert(source: Path, target: Path) -> None:
        conversions.append(source)
        (target / "model.safetensors").write_bytes(b"weights")

    monkeypatch.setenv("UNSEEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(smollm2, "_convert", convert)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: smollm2.folder(), range(2))
    assert one == other == tmp_path / smollm2.FOLDER
    assert len(conversions) == 1


def test_a_conversion_that_broke_off_leaves_nothing_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(source: Path, target: Path) -> None:
        (target / "model.safetensors").write_bytes(b"wei")
        raise OSError("disk full")

    monkeypatch.setenv("UNSEEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(smollm2, "_convert", break_off)
    with pytest.raises(OSError, match="disk full"):
        smollm2.folder()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_the_cache_folder_is_named_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSEEN_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert smollm2.cache_dir() == Path("/x/unseen")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/h")
    assert smollm2.cache_dir() == Path("/h/.cache/unseen")
    monkeypatch.setenv("UNSEEN_CACHE_DIR", "/y")
    assert smollm2.cache_dir() == Path("/y")
