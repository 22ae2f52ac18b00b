"""What the language model reads before it writes: fixed prefix, neighbours' examples, session, query.

Guarantees that an example in the prompt has exactly the tokens which the policy would have to write for it,
that the last line is the query's, and that a query cannot break a line. The prefix is the same for all
queries of a form, so that its keys and values can be computed once. What the session asked before stands
behind it, in lines that no example looks like; without any, the prompt is what it is without sessions.

Separator, spelling of "nothing to add" and prefix were chosen among 25 combinations on the untrained
SmolLM2-135M-Instruct: 32 invented queries whose neighbours have the wanted word, 24 whose neighbours have
nothing (repeating the query counts as nothing). Greedy, this one takes over the word for 19 and says nothing
for 22; sampled, .43 and .68. It is a compromise, not the best on each count (20 and 20; 18 and 24; sampled
.48 and .73 are others'), and the same queries chose and measured it. A bare end of line as
nothing, with other prefixes: at most 9 words taken over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from agent.policy.tokens import Tokenizer
from agent.sections import PolicySettings
from feedback.records import Earlier, Form, History
from feedback.text import normalise

PREFIX_VERSIONS = {Form.ADD: "v1", Form.INSTEAD: "v2"}
"""Of each form's file of examples."""
PROMPT_VERSION = "-".join(PREFIX_VERSIONS.values())
"""Adapters stand on it: weights that were learned under another are not taken over."""
SEPARATOR = " ->"
NOTHING = "same"
"""How an empty rewrite is written: a model that may just end the line does so even where it knows a word."""
MAX_QUERY_TOKENS = 48
"""Of the query's own line; the rest of a longer request is cut: what is wanted stands at its beginning, and
reading the request is most of the cost."""
EARLIER = {True: " ! clicked", False: " ! not clicked"}
"""What follows an earlier query of the session on its line, by whether anything was clicked."""
MAX_EARLIER_TOKENS = 16
"""Of an earlier query; the rest is cut."""
MAX_EXAMPLE_TOKENS = 24
"""A longer example is left out: it would crowd out the others."""


def same_ground(base_model: str, prompt_version: str, ours: str) -> bool:
    """Tell whether weights that stand on this model and prompt fit the model ``ours`` as it is asked now."""
    return (base_model, prompt_version) == (ours, PROMPT_VERSION)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One query to be rewritten."""

    query: str
    examples: tuple[tuple[str, str], ...] = ()
    """Asked queries with their verified rewrites (may be empty), the nearest first."""
    form: Form = Form.ADD
    history: History = ()
    """What the session asked before it, oldest first."""


@cache
def prefix_lines(form: Form) -> tuple[tuple[str, str], ...]:
    """Return the fixed examples of a form, from the package's versioned file."""
    path = files("agent.policy") / "prompts" / f"{form.value}_{PREFIX_VERSIONS[form]}.txt"
    lines = (line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    pairs = (line.partition("=") for line in lines)
    return tuple((query.strip(), rewrite.strip()) for query, _, rewrite in pairs)


class Encoder:
    """Prompts and rewrites as token ids; needs no model."""

    def __init__(self, tokenizer: Tokenizer, settings: PolicySettings) -> None:
        self.tokenizer = tokenizer
        self._settings = settings
        self._prefixes = {form: self._prefix(form) for form in Form}

    def prefix(self, form: Form) -> tuple[int, ...]:
        """Return the token ids that stand before every prompt of the form."""
        return self._prefixes[form]

    def prompt(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the token ids after the prefix: examples, nearest last, the session, the query's line."""
        nearest = prompt.examples[: self._settings.neighbours]
        examples = (self._line(query, rewrite, prompt.form) for query, rewrite in reversed(nearest))
        short = (line for line in examples if len(line) <= MAX_EXAMPLE_TOKENS)
        return (*_joined(short), *_joined(map(self._earlier, prompt.history)), *self._asked(prompt.query))

    def encode(self, text: str, form: Form = Form.ADD) -> tuple[int, ...]:
        """Return the token ids of a rewrite with its end of line, cut to what the policy may write."""
        ids = self.tokenizer.encode(f" {normalise(text) or NOTHING}")
        return (*ids[: self.max_new_tokens(form) - 1], self.tokenizer.newline)

    def text(self, token_ids: Sequence[int]) -> str:
        """Return the rewrite that the token ids spell, without its end of line."""
        line = self.tokenizer.decode(token_ids).partition("\n")[0].strip()
        return "" if line.casefold() == NOTHING else line

    def max_new_tokens(self, form: Form) -> int:
        """Return how many tokens a rewrite of the form may have, its end of line included."""
        settings = self._settings
        return settings.max_new_tokens if form is Form.ADD else settings.long_max_new_tokens

    def _prefix(self, form: Form) -> tuple[int, ...]:
        lines = (self._line(query, rewrite, form) for query, rewrite in prefix_lines(form))
        return (*self.tokenizer.start, *_joined(lines))

    def _line(self, query: str, rewrite: str, form: Form) -> tuple[int, ...]:
        return (*self._asked(query), *self.encode(rewrite, form))

    def _earlier(self, earlier: Earlier) -> tuple[int, ...]:
        words = self.tokenizer.encode(normalise(earlier.query))[:MAX_EARLIER_TOKENS]
        return (*words, *self.tokenizer.encode(EARLIER[earlier.clicked]), self.tokenizer.newline)

    def _asked(self, query: str) -> tuple[int, ...]:
        words = self.tokenizer.encode(normalise(query))[:MAX_QUERY_TOKENS]
        return (*words, *self.tokenizer.encode(SEPARATOR))


def _joined(lines: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(token for line in lines for token in line)
