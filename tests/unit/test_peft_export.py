"""What we write for vLLM is an adapter of `peft`: read by `peft`, it computes what our own code does."""

import json
from pathlib import Path

import pytest
import torch
from engine_world import SETTINGS, alone, noise
from peft import PeftModel
from safetensors.torch import load_file

from agent.policy import lora, tiny
from agent.policy.base import load_outline
from agent.policy.vllm.adapters import CONFIG, TENSORS, PeftAdapter, exported

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft's business
IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])


def adapter(version: int) -> PeftAdapter:
    outline = lora.inject(load_outline("tiny").lm, rank=SETTINGS.lora_rank, layers=SETTINGS.lora_layers)
    return exported(outline, noise(version), named=f"unseen-default-{version}", base_model="tiny-1")


@torch.inference_mode()
def logits(lm: torch.nn.Module) -> torch.Tensor:
    return torch.as_tensor(lm(input_ids=IDS).logits)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_peft_computes_with_it_what_our_own_code_computes(version: int, tmp_path: Path) -> None:
    read = PeftModel.from_pretrained(tiny.load(), adapter(version).write(tmp_path))
    ours = logits(alone(version).lm)
    assert torch.allclose(logits(read), ours, atol=1e-5)
    assert torch.allclose(ours, logits(tiny.load()), atol=1e-5) is (
        version == 0
    )  # else it would prove nothing


def test_peft_reads_every_tensor_and_scales_as_we_do(tmp_path: Path) -> None:
    place = adapter(1).write(tmp_path)
    read = PeftModel.from_pretrained(tiny.load(), place)
    theirs = {name: one for name, one in read.named_parameters() if "lora_" in name}
    state = noise(1)
    assert len(theirs) == len(state)
    for name, one in state.items():
        left, _, end = name.rpartition(".")
        assert torch.equal(theirs[f"base_model.model.{left}.default.{end}"], one)
    config = json.loads((place / CONFIG).read_bytes())
    assert (config["peft_type"], config["task_type"], config["r"]) == ("LORA", "CAUSAL_LM", 4)
    assert (config["lora_alpha"], config["use_rslora"], config["use_dora"]) == (8, False, False)
    assert (config["bias"], config["modules_to_save"]) == ("none", None)  # vLLM takes no others


def test_names_are_those_that_vllm_takes_apart(tmp_path: Path) -> None:
    names = load_file(adapter(1).write(tmp_path) / TENSORS)
    assert "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight" in names
    assert all(name.startswith("base_model.model.model.layers.1.") for name in names)
    assert {name.rsplit(".", 2)[1] for name in names} == {"lora_A", "lora_B"}


def test_a_name_says_the_version_and_what_it_holds() -> None:
    assert adapter(1).name == adapter(1).name
    assert adapter(1).name.startswith("unseen-default-1-")
    outline = lora.inject(load_outline("tiny").lm, rank=SETTINGS.lora_rank, layers=SETTINGS.lora_layers)
    other = exported(outline, noise(2), named="unseen-default-1", base_model="tiny-1")
    assert other.name != adapter(1).name


def test_a_folder_is_whole_or_not_there_and_half_a_one_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = adapter(1)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("agent.policy.vllm.adapters.write_whole", full)
        with pytest.raises(OSError, match="no space"):
            made.write(tmp_path)
    assert list(tmp_path.iterdir()) == []
    place = made.write(tmp_path)
    (place / TENSORS).unlink()
    assert made.write(tmp_path) == place
    assert (place / TENSORS).read_bytes() == made.tensors
    assert list(tmp_path.iterdir()) == [place]
    made.remove(tmp_path)
    made.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_outline_has_no_weights_and_the_same_names_and_shapes() -> None:
    outline = lora.inject(load_outline("tiny").lm, rank=4, layers=1)
    whole = alone(0)
    assert {one.device.type for one in outline.parameters()} == {"meta"}
    ours = {name: one.shape for name, one in lora.trained(outline).items()}
    assert ours == {name: one.shape for name, one in lora.trained(whole.lm).items()}
    assert load_outline("tiny").name == whole.base_model
