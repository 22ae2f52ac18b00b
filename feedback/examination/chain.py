"""The click chain model: a shopper reads downwards, and may stop after each object.

Pure. Guo et al., Click chain model in web search, WWW 2009; with nobody going on after a click it is the
cascade of Craswell, Zoeter, Taylor and Ramsey, WSDM 2008. Going on after a click depends on how good the
clicked object is. Fitted by expectation maximisation: up to the last click all was read, below it how far is
hidden.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from feedback.examination.browsing import shrunk
from feedback.examination.pages import DEPTH, Column, Flags, Table

LOOKS = 0.1
"""That the mean attraction is worth while the chain is fitted: more would end it too early."""
ROUNDS = 200
CLOSE = 1e-4


class GoOn(NamedTuple):
    """Chance to read the next rank."""

    skipped: float = 0.9
    """After an object that was not clicked."""
    poor: float = 0.6
    """After a click on an object that attracts nobody else."""
    good: float = 0.4
    """After a click on one that attracts everybody."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The model with its parameters."""

    go_on: GoOn
    attraction: Column
    """By group, shrunk to the mean."""
    by_rank: Column
    """Mean over the pages; 1 at the first rank."""
    trusted: Column
    """Clicks a page and rank that no attraction explains: none."""

    def log_likelihood(self, table: Table) -> float:
        """Return the mean over pages, in nats."""
        attraction = np.clip(self.attraction[table.group], 0.0, 1 - 1e-6)
        silence, last = _silence(attraction, self.go_on), table.last[-1]
        told = np.where(last == 0, np.log(silence[0]), 0.0)
        for rank in range(DEPTH):
            read, on = rank < last, _on(attraction[rank], table.clicked[rank], self.go_on)
            chance = np.where(table.clicked[rank], np.maximum(attraction[rank], 1e-6), 1 - attraction[rank])
            below = np.where(rank + 1 < last, on, 1 - on + on * silence[rank + 1])
            told += np.where(read, np.log(chance) + np.log(np.maximum(below, 1e-9)), 0.0)
        return float((told * table.times).sum() / max(table.times.sum(), 1.0))


def fit(table: Table, prior: Column) -> Chain:
    """Return the most likely chain; ranks that are not joined keep the prior, a curve with 1 at the first."""
    go_on, looked = GoOn(), table.shown.astype(np.float64)
    for _ in range(ROUNDS):
        attraction = _attraction(table, looked)
        looked, went = _expect(table, attraction, go_on)
        new = _maximise(table, attraction, looked, went, go_on)
        done = max(abs(a - b) for a, b in zip(new, go_on, strict=True)) < CLOSE
        go_on = new
        if done:
            break
    mean = table.by_rank(looked)
    joined = np.isin(np.arange(DEPTH) + 1, table.joined)
    return Chain(
        go_on=go_on,
        attraction=np.minimum(shrunk(table.clicks, table.by_group(looked)), 1.0),
        by_rank=np.where(joined & ~np.isnan(mean), mean, prior),
        trusted=np.zeros(DEPTH),
    )


def _attraction(table: Table, looked: Column) -> Column:
    looks = table.by_group(looked)
    mean = table.clicks.sum() / max(looks[:-1].sum(), 1.0)
    attraction = (table.clicks + LOOKS * mean) / (looks + LOOKS)
    attraction[-1] = 0.0
    placed: Column = np.clip(attraction, 0.0, 1 - 1e-6)[table.group]
    return placed


def _on(attraction: Column, clicked: Flags, go_on: GoOn) -> Column:
    """Return the chance to read on after each place of a rank."""
    after_click = (1 - attraction) * go_on.poor + attraction * go_on.good
    return np.where(clicked, after_click, go_on.skipped)


def _silence(attraction: Column, go_on: GoOn) -> Column:
    """Return the chance of no click at a rank and below, given that it is read. Shape (DEPTH + 1, pages)."""
    silence = np.ones((DEPTH + 1, attraction.shape[1]))
    for rank in reversed(range(DEPTH)):
        silence[rank] = (1 - attraction[rank]) * (1 - go_on.skipped + go_on.skipped * silence[rank + 1])
    return silence


def _expect(table: Table, attraction: Column, go_on: GoOn) -> tuple[Column, Column]:
    """Return the chance that each place was read, and that the reader went on from it, given the clicks."""
    silence, last = _silence(attraction, go_on), table.last[-1]
    looked, went = np.zeros_like(attraction), np.zeros_like(attraction)
    looked[0] = table.shown[0]
    for rank in range(DEPTH - 1):
        on = _on(attraction[rank], table.clicked[rank], go_on)
        unseen = on * silence[rank + 1] / np.maximum(1 - on + on * silence[rank + 1], 1e-12)
        went[rank] = looked[rank] * np.where(rank + 1 < last, 1.0, unseen)
        looked[rank + 1] = went[rank] * table.shown[rank + 1]
    return looked, went


def _maximise(table: Table, attraction: Column, looked: Column, went: Column, go_on: GoOn) -> GoOn:
    """Return the chances to go on that the expected cases make."""
    counted = table.shown[1:] * table.times  # nobody can go on where the page has ended
    on, off = went[:-1] * counted, (looked - went)[:-1] * counted
    clicked, good = table.clicked[:-1], attraction[:-1]
    good_on = _share(good * go_on.good, (1 - good) * go_on.poor)
    good_off = _share(good * (1 - go_on.good), (1 - good) * (1 - go_on.poor))
    return GoOn(
        skipped=_chance(on[~clicked], off[~clicked]),
        poor=_chance((on * (1 - good_on))[clicked], (off * (1 - good_off))[clicked]),
        good=_chance((on * good_on)[clicked], (off * good_off)[clicked]),
    )


def _share(part: Column, rest: Column) -> Column:
    return part / np.maximum(part + rest, 1e-12)


def _chance(on: Column, off: Column) -> float:
    """Return the share of those who went on, half a case of either kind added."""
    return float((on.sum() + 0.5) / (on.sum() + off.sum() + 1.0))
