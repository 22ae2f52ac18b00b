"""What shoppers would prefer under another policy, from the explore arm's pages alone.

An action is the top 10 that a drawn rewrite finds: all choices of a draw that find the same one share its
probability. The reward is the page's preference of that list over raw, in [-1, 1]; a list that is raw's own
has 0. A target chooses among what could have been drawn, so that every list it wants had its chance: pages
with nothing to choose from for it are left out. Guarantees no estimate from fewer than 200 effective pages.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, get_args

import msgspec
import numpy as np
import torch
from redis.asyncio import Redis

from agent.policy.pack import Group
from agent.policy.prompt import PROMPT_VERSION, Prompt
from agent.scoring.offpolicy import ExploreLog, Method, estimate
from agent.sections import PolicySettings
from feedback.delivery.streams import FIELD
from feedback.keys import Keys
from feedback.records import Choice, Draw, Explored


class Scores(Protocol):
    """The policy, as `agent.policy.model.Policy`."""

    base_model: str
    settings: PolicySettings

    def score(self, groups: Sequence[Group]) -> torch.Tensor:
        """Return the log-probabilities of the groups' tokens, 0 where there is none."""
        ...


Target = Callable[[Explored], Sequence[float] | None]
"""Returns the probability of each of a page's choices; None where it would choose none of them."""
ROWS = 8
"""Draws scored at a time."""


async def read_explored(redis: Redis, keys: Keys) -> list[Explored]:
    """Return every page that is kept, oldest first in a partition; unreadable ones are left out."""
    pages: list[Explored] = []
    for partition in range(keys.partitions):
        entries: Any = await redis.xrange(keys.explored(partition))
        for _, entry in entries:
            try:
                pages.append(msgspec.json.decode(entry.get(FIELD.encode(), b""), type=Explored))
            except msgspec.MsgspecError:
                continue
    return pages


def _evenly(wanted: Callable[[Choice], bool]) -> Target:
    def target(page: Explored) -> Sequence[float] | None:
        chosen = [wanted(choice) for choice in page.draw.choices]
        return [one / sum(chosen) for one in chosen] if any(chosen) else None

    return target


def _likeliest(page: Explored) -> Sequence[float] | None:
    own = [(choice.logprob, i) for i, choice in enumerate(page.draw.choices) if choice.token_ids]
    return [float(i == max(own)[1]) for i in range(len(page.draw.choices))] if own else None


TARGETS: Mapping[str, Target] = {
    "samples": _evenly(lambda choice: bool(choice.token_ids)),
    "proposals": _evenly(lambda choice: not choice.token_ids),
    "likeliest": _likeliest,
}
"""The policy's samples as they were drawn, what shoppers and judged queries proposed, the sample that the
policy held likeliest."""


def rescored(pages: Sequence[Explored], policy: Scores) -> Target:
    """Return the target that draws among a page's samples in proportion to pi / pi_old.

    That is what the policy would write, as far as the samples reach (sampling and importance resampling,
    Rubin, 1988). Draws of another base model, prompt or temperature are left out.
    """
    fit = {_name(page): page for page in pages if _fits(page, policy)}
    names = list(fit)
    weights: dict[bytes, Sequence[float]] = {}
    for start in range(0, len(names), ROWS):
        some = names[start : start + ROWS]
        with torch.no_grad():
            scores = policy.score([_group(fit[name]) for name in some]).sum(-1).tolist()
        for name, row in zip(some, scores, strict=True):
            weights[name] = _resampled(fit[name].draw, row)
    return lambda page: weights.get(_name(page))


def _fits(page: Explored, policy: Scores) -> bool:
    own = any(choice.token_ids for choice in page.draw.choices)
    theirs = (page.draw.base_model, page.draw.prompt_version)
    return own and theirs == (policy.base_model, PROMPT_VERSION) and _temperature(page, policy)


def _temperature(page: Explored, policy: Scores) -> bool:
    return not page.rewrite.token_ids or page.rewrite.temperature == policy.settings.temperature


def _group(page: Explored) -> Group:
    prompt = Prompt(query=page.query, examples=page.draw.examples, form=page.form)
    own = tuple(choice.token_ids for choice in page.draw.choices if choice.token_ids)
    return Group(prompt=prompt, completions=own)


def _resampled(draw: Draw, scores: Sequence[float]) -> Sequence[float]:
    own = [choice for choice in draw.choices if choice.token_ids]
    gaps = np.array([score - choice.logprob for choice, score in zip(own, scores, strict=False)])
    weights = iter(np.exp(gaps - gaps.max()) / np.exp(gaps - gaps.max()).sum())
    return [float(next(weights)) if choice.token_ids else 0.0 for choice in draw.choices]


def _name(page: Explored) -> bytes:
    """Return what pages of the same query and the same draw have in common."""
    return msgspec.msgpack.encode((page.query, page.draw.choices, page.draw.examples))


def log_of(pages: Sequence[Explored], target: Target) -> ExploreLog | None:
    """Return the pages as a log of lists; None where the target chooses from none of them."""
    told = [(page, wanted) for page in pages if (wanted := target(page)) is not None]
    if not told:
        return None
    rows: dict[bytes, int] = {}
    of_page = [rows.setdefault(_name(page), len(rows)) for page, _ in told]
    lists = 1 + max(choice.page for page, _ in told for choice in page.draw.choices)
    behaviour, wanted_lists = np.zeros((2, len(rows), lists))
    first_of = {row: i for i, row in reversed(list(enumerate(of_page)))}
    for row, i in first_of.items():
        page, wanted = told[i]
        for choice, chance in zip(page.draw.choices, wanted, strict=True):
            behaviour[row, choice.page] += choice.probability
            wanted_lists[row, choice.page] += chance
    clients = {client: i for i, client in enumerate(dict.fromkeys(page.client for page, _ in told))}
    return ExploreLog(
        query=np.array(of_page),
        shown=np.array([page.draw.choices[page.draw.taken].page for page, _ in told]),
        client=np.array([clients[page.client] for page, _ in told]),
        reward=np.array([page.preference for page, _ in told]),
        behaviour=behaviour,
        target=wanted_lists,
    )


def estimates(pages: Sequence[Explored], target: Target) -> dict[str, Any]:
    """Return how far shoppers would prefer the target's pages to raw, by each method; None: no estimate."""
    log = log_of(pages, target)
    found: dict[str, Any] = {"pages": 0 if log is None else len(log.reward)}
    found["effective"] = 0.0 if log is None else log.effective
    for method in get_args(Method):
        one = None if log is None else estimate(log, method)
        found[method] = None if one is None else {"value": one.value, "interval": (one.low, one.high)}
    return found
