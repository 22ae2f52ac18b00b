"""TRL's GRPOTrainer on the same model, layers, prompts, group, length and reward, one step at a time.

Set as fast as it goes on a CPU: no gradient checkpointing, float32, one batch a step, no padding to
multiples.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from typing_extensions import override

from agent.policy import smollm2
from agent.policy.prompt import Encoder, Prompt
from agent.policy.tokens import HubTokenizer
from agent.settings import Settings
from feedback.records import Form

Rewards = Callable[[Mapping[str, Sequence[str]]], Mapping[str, Sequence[float]]]
ENDLESS = 1_000_000
STEP_TIMEOUT_S = 600.0


class Over(Exception):  # noqa: N818 - no error
    """The trainer is not needed any more."""


class Turns(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Lets the trainer make a step when it is asked to."""

    def __init__(self) -> None:
        self.go, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.over = False

    @override
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.go.acquire()
        if self.over:
            raise Over

    @override
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.done.release()


class TrlSide:
    """Made with a model of its own; `step` trains, `adapter` is what it learned."""

    def __init__(
        self, settings: Settings, queries: Sequence[str], rewards: Rewards, folder: Path, *, full_length: bool
    ) -> None:
        self._settings, self._rewards = settings, rewards
        source = str(smollm2.folder())
        self._lm = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, local_files_only=True)
        self._tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
        self._hub = HubTokenizer(self._tokenizer)
        self._encoder = Encoder(self._hub, settings.policy)
        if not full_length:  # a rewrite ends where the policy's own would
            self._lm.generation_config.eos_token_id = sorted(self._hub.ends)
            self._tokenizer.eos_token = self._tokenizer.convert_ids_to_tokens(self._hub.newline)
        self._tokenizer.pad_token = "<|im_end|>"  # noqa: S105 - a token of the vocabulary
        self._turns = Turns()
        self._trainer = GRPOTrainer(
            model=self._lm,
            reward_funcs=self._scores,
            args=self._config(folder, full_length=full_length),
            train_dataset=Dataset.from_list([{"prompt": self._prompt(q), "query": q} for q in queries]),
            processing_class=self._tokenizer,
            peft_config=self._lora(),
            callbacks=[self._turns],
        )
        self._error: list[BaseException] = []
        self._thread = threading.Thread(target=self._train, daemon=True, name="trl")
        self._thread.start()

    def step(self) -> None:
        """Make one step of all queries and groups.

        Raises:
            RuntimeError: the trainer ended of itself.
        """
        self._turns.go.release()
        if not self._turns.done.acquire(timeout=STEP_TIMEOUT_S) or self._error:
            cause = self._error[0] if self._error else None
            raise RuntimeError("the trainer made no step") from cause

    def close(self) -> None:
        """End the trainer's thread."""
        self._turns.over = True
        self._turns.go.release()
        self._thread.join()

    def adapter(self) -> dict[str, Tensor]:
        """Return the trained tensors under the policy's own names."""
        named = self._trainer.model.named_parameters()
        return {
            name.removeprefix("base_model.model.").replace(".default.", "."): p.detach().clone()
            for name, p in named
            if p.requires_grad
        }

    def _train(self) -> None:
        torch.set_num_threads(self._settings.learner.threads)  # of this thread
        try:
            with suppress(Over):
                self._trainer.train()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._error.append(error)
            self._turns.done.release()

    def _scores(
        self,
        query: list[str],
        completion_ids: list[list[int]],
        **_: Any,  # noqa: ANN401 - the trainer's own
    ) -> list[float]:
        """Return each completion's reward, in their order."""
        texts = [self._encoder.text(ids) for ids in completion_ids]
        groups: dict[str, list[str]] = {}
        for one, text in zip(query, texts, strict=True):
            groups.setdefault(one, []).append(text)
        left = {one: iter(scores) for one, scores in self._rewards(groups).items()}
        return [next(left[one]) for one in query]

    def _prompt(self, query: str) -> str:
        """Return the policy's prompt as text that has the very same tokens."""
        ids = [*self._encoder.prefix(Form.ADD), *self._encoder.prompt(Prompt(query=query))]
        text: str = self._tokenizer.decode(ids)
        if self._tokenizer(text)["input_ids"] != ids:
            raise ValueError(f"the prompt of {query!r} has other tokens as a text")
        return text

    def _lora(self) -> LoraConfig:
        n, policy = self._lm.config.num_hidden_layers, self._settings.policy
        return LoraConfig(
            r=policy.lora_rank,
            lora_alpha=2 * policy.lora_rank,
            lora_dropout=0.0,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
            layers_to_transform=list(range(n - policy.lora_layers, n)),
            task_type="CAUSAL_LM",
        )

    def _config(self, folder: Path, *, full_length: bool) -> GRPOConfig:
        learner, policy = self._settings.learner, self._settings.policy
        return GRPOConfig(
            output_dir=str(folder),
            per_device_train_batch_size=learner.queries_a_step * learner.group,
            gradient_accumulation_steps=1,
            num_generations=learner.group,
            max_completion_length=policy.max_new_tokens,
            generation_kwargs={"min_new_tokens": policy.max_new_tokens} if full_length else None,
            temperature=policy.temperature,
            learning_rate=learner.lr,
            lr_scheduler_type="constant",
            adam_beta2=0.95,
            max_steps=ENDLESS,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            pad_to_multiple_of=None,
            dataloader_pin_memory=False,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
