"""Which language model a setting names, and how it is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from agent.errors import Permanent
from agent.policy import smollm2, tiny
from agent.policy.tokens import HubTokenizer, Tokenizer


@dataclass(frozen=True, kw_only=True)
class Base:
    """A frozen model with its tokenizer."""

    name: str
    """With its revision, where it has one."""
    lm: Any
    tokenizer: Tokenizer


def load_base(model: str, dtype: torch.dtype) -> Base:
    """Load ``smollm2``, ``tiny``, or any causal language model of `transformers` by folder or name.

    Raises:
        Permanent: there is no such model, or it cannot be had.
        Corrupt: the converted model is not what its manifest says.
    """
    if model == "tiny":
        return Base(name=tiny.BASE_MODEL, lm=tiny.load().to(dtype), tokenizer=tiny.LetterTokenizer())
    return _named(model, dtype)


def load_outline(model: str) -> Base:
    """Return the same model without its weights (on the device ``meta``): names, shapes and tokenizer.

    Raises:
        Permanent: as `load_base`.
        Corrupt: as `load_base`.
    """
    if model == "tiny":
        return Base(name=tiny.BASE_MODEL, lm=tiny.load().to("meta"), tokenizer=tiny.LetterTokenizer())
    return _named(model, None)


def _named(model: str, dtype: torch.dtype | None) -> Base:
    if model == "smollm2":
        folder = smollm2.folder()
        return _of_hub(str(folder), dtype, name=smollm2.name(folder))
    return _of_hub(model, dtype, name=Path(model).name if Path(model).is_dir() else model)


def _of_hub(source: str, dtype: torch.dtype | None, *, name: str) -> Base:
    local = Path(source).is_dir()
    disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
        lm = _lm(source, dtype, local=local)
    except (OSError, ValueError) as error:
        raise Permanent(f"policy: cannot load the model {source!r}: {error}") from error
    revision = getattr(lm.config, "_commit_hash", None)  # of the hub's repository; a folder has none
    named = f"{name}@{revision[:12]}" if revision else name
    return Base(name=named, lm=lm.eval(), tokenizer=HubTokenizer(tokenizer))


def _lm(source: str, dtype: torch.dtype | None, *, local: bool) -> Any:  # noqa: ANN401
    """Return the model in a precision; None: without weights."""
    if dtype is not None:
        return AutoModelForCausalLM.from_pretrained(source, dtype=dtype, local_files_only=local)
    config = AutoConfig.from_pretrained(source, local_files_only=local)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)
