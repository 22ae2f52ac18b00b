"""Groups of clients that clicked the same things more often than the things explain. Pure.

Two clients are linked where they share at least ``ring_shared`` clicks and the chance to share as many is
below ``ring_chance``, if each clicked what it was shown by chance alone (a Poisson count: the sum, over what
both were shown, of both clicking it). A group is a connected part of what is left once clients with too few
links are taken away (the k-core), as SynchroTrap links users by synchronised actions and clusters them (Cao,
Yang, Yu and Palow, CCS 2014), and CopyCatch asks for near-bicliques (Beutel et al., WWW 2013). Groups are
candidates; `feedback.guard.rings` judges them.

Time and memory are bounded: the things that most clients share, which say least, are left out beyond
`MOST_PAIRS` pairs.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, triu
from scipy.sparse.csgraph import connected_components
from scipy.stats import poisson

from feedback.settings import GuardSettings

MOST_PAIRS = 20_000_000
PAIRS_AT_ONCE = 50_000
Thing = tuple[str, str, str]
"""Segment, query and object."""
Ints = NDArray[np.int64]


def groups(
    clicked: Mapping[str, AbstractSet[Thing]],
    chances: Mapping[str, Mapping[Thing, float]],
    settings: GuardSettings,
) -> list[frozenset[str]]:
    """Return the groups, largest first; each client is in one at most.

    Args:
        clicked: by client, what it clicked that few would have, each once.
        chances: by client, of what it was shown, how likely a click is; at least of what any clicked.
        settings: the bounds.
    """
    clients = sorted(client for client, things in clicked.items() if len(things) >= settings.ring_shared)
    numbers: dict[Thing, int] = {}
    for client in clients:
        for thing in clicked[client]:
            numbers.setdefault(thing, len(numbers))
    if not numbers:
        return []
    graph = _matrix([dict.fromkeys(clicked[client], 1.0) for client in clients], numbers)
    expected = _matrix([chances[client] for client in clients], numbers)
    kept = _kept(np.asarray(graph.sum(axis=0), dtype=np.float64).ravel())
    links = _links(graph[:, kept], expected[:, kept], settings)
    core = _core(links, settings.ring_clients - 1)
    if not len(core):
        return []
    _, labels = connected_components(links[core][:, core], directed=False)
    found = [frozenset(clients[i] for i in core[labels == n]) for n in np.unique(labels)]
    return sorted((one for one in found if len(one) >= settings.ring_clients), key=lambda one: -len(one))


def _matrix(rows: Sequence[Mapping[Thing, float]], numbers: Mapping[Thing, int]) -> csr_array:
    """Return the rows' values of the numbered things."""
    at, columns, values = list[int](), list[int](), list[float]()
    for i, row in enumerate(rows):
        for thing, value in row.items():
            if thing in numbers:
                at.append(i)
                columns.append(numbers[thing])
                values.append(value)
    return csr_array(coo_array((values, (at, columns)), shape=(len(rows), len(numbers))))


def _kept(popular: "NDArray[np.float64]") -> Ints:
    """Return the things that two clicked, the least popular first, up to the bound on pairs."""
    order = np.argsort(popular, kind="stable")
    order = order[popular[order] > 1]
    pairs = np.cumsum(popular[order] ** 2)
    return np.asarray(order[pairs <= MOST_PAIRS], dtype=np.int64)


def _links(graph: csr_array, expected: csr_array, settings: GuardSettings) -> csr_array:
    """Return which clients share more than chance has it, as a symmetric matrix of ones."""
    shared = triu(graph @ graph.T, k=1).tocoo()
    enough = shared.data >= settings.ring_shared
    one, other, n = shared.row[enough], shared.col[enough], shared.data[enough]
    linked = np.zeros(len(n), dtype=bool)
    for start in range(0, len(n), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        mean = (expected[one[some]] * expected[other[some]]).sum(axis=1)
        linked[some] = poisson.sf(n[some] - 1, np.asarray(mean).ravel()) <= settings.ring_chance
    ends = np.concatenate([one[linked], other[linked]]), np.concatenate([other[linked], one[linked]])
    return csr_array(coo_array((np.ones(len(ends[0])), ends), shape=(graph.shape[0],) * 2))


def _core(links: csr_array, least: int) -> Ints:
    """Return the nodes of the core in which each has at least so many links to others of it."""
    alive = np.ones(links.shape[0], dtype=bool)
    while True:
        degrees = np.asarray(links @ alive.astype(np.float64)).ravel()
        weak = alive & (degrees < least)
        if not weak.any():
            return np.flatnonzero(alive).astype(np.int64)
        alive &= ~weak
