"""A random model of 100 thousand weights behind the real one's interface, for tests that take no time.

Writes letters at random until it is taught. It knows no language.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

WORDS = (" same", " ->")
"""Words of the prompt's own that are one token, as they are in real vocabularies."""
ALPHABET = (*"\n abcdefghijklmnopqrstuvwxyz0123456789-.'/", *WORDS)
UNKNOWN = "."
BASE_MODEL = "tiny-1"


class LetterTokenizer:
    """A token for each letter; a letter that is not in the alphabet becomes a full stop."""

    start: tuple[int, ...] = ()
    newline = ALPHABET.index("\n")
    ends = frozenset({newline})

    def encode(self, text: str) -> list[int]:
        """Return the token ids of the text."""
        pieces = re.findall(f"{'|'.join(WORDS)}|.", text.casefold(), re.DOTALL)
        return [ALPHABET.index(piece if piece in ALPHABET else UNKNOWN) for piece in pieces]

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of the token ids."""
        return "".join(ALPHABET[i] for i in token_ids)


def load() -> Any:  # noqa: ANN401
    """Return the model, the same one in every process."""
    config = LlamaConfig(
        vocab_size=len(ALPHABET),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=LetterTokenizer.newline,
        pad_token_id=LetterTokenizer.newline,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        torch.nn.init.normal_(model.get_input_embeddings().weight, std=1.0)
        torch.nn.init.normal_(model.get_output_embeddings().weight, std=0.15)  # lets a top layer be certain
    return model.eval()
