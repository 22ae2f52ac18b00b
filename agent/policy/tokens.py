"""What the policy needs of a tokenizer, and the one of Hugging Face behind it.

Guarantees that the end of a line is one token, and that every token with a line break in it ends a rewrite.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from agent.errors import Permanent

LINE_BREAKS = ("Ċ", "\n", "<0x0A>")
"""How byte-level and sentence-piece vocabularies spell a line break."""


class Tokenizer(Protocol):
    """Text to token ids and back; nothing is added at either end."""

    start: tuple[int, ...]
    """What a text begins with (a BOS token); often nothing."""
    newline: int
    ends: frozenset[int]
    """Tokens that end a rewrite: every line break and the end of the text."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids of the text."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of the token ids, special tokens left out."""
        ...


class HubTokenizer:
    """A tokenizer of `transformers`."""

    def __init__(self, inner: Any) -> None:  # noqa: ANN401 - transformers is not typed
        self._inner = inner
        special = set(inner.all_special_ids)
        self.start = tuple(i for i in inner("")["input_ids"] if i != inner.eos_token_id)
        self.newline = self._newline()
        vocabulary: dict[str, int] = inner.get_vocab()
        breaks = {i for token, i in vocabulary.items() if any(b in token for b in LINE_BREAKS)}
        self.ends = frozenset(breaks | special | {self.newline})

    def _newline(self) -> int:
        ids = self.encode("\n")
        if not ids:
            raise Permanent("the model's tokenizer has no token for a line break")
        return ids[-1]

    def encode(self, text: str) -> list[int]:
        """Return the token ids of the text."""
        return list(self._inner(text, add_special_tokens=False)["input_ids"])

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of the token ids, special tokens left out."""
        return str(self._inner.decode(list(token_ids), skip_special_tokens=True))
