"""Three ways of looking at a result page: by position, as a cascade, and carelessly.

A model takes the grades of the products shown, best first, and returns the places clicked.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class ClickModel(Protocol):
    """How one sort of shoppers looks and clicks."""

    def clicks(self, grades: Sequence[int], random: np.random.Generator) -> list[int]:
        """Return the clicked places, from 0, in rising order."""
        ...


class PositionBased:
    """Looks at rank r with probability r^-.65 and clicks what attracts."""

    _attraction = (0.02, 0.08, 0.35, 0.75)

    def clicks(self, grades: Sequence[int], random: np.random.Generator) -> list[int]:
        """Return the clicked places; each place is independent of the others."""
        return [
            place
            for place, grade in enumerate(grades)
            if random.random() < (place + 1) ** -0.65 * self._attraction[grade]
        ]


class Cascade:
    """Reads from the top, stops when satisfied, and gives up a little at every line."""

    _attraction = (0.02, 0.08, 0.4, 0.8)
    _satisfied = (0.1, 0.3, 0.6, 0.85)
    _patience = 0.9

    def clicks(self, grades: Sequence[int], random: np.random.Generator) -> list[int]:
        """Return the clicked places down to where the shopper stopped."""
        clicked: list[int] = []
        for place, grade in enumerate(grades):
            if random.random() < self._attraction[grade]:
                clicked.append(place)
                if random.random() < self._satisfied[grade]:
                    break
            if random.random() >= self._patience:
                break
        return clicked


class Careless:
    """Looks at a few lines and also clicks what has nothing to do with the need."""

    _attraction = (0.06, 0.12, 0.3, 0.55)

    def clicks(self, grades: Sequence[int], random: np.random.Generator) -> list[int]:
        """Return the clicked places among the lines that happened to be seen."""
        n_seen = int(random.geometric(0.2))
        return [
            place for place, grade in enumerate(grades[:n_seen]) if random.random() < self._attraction[grade]
        ]


CLICK_MODELS: tuple[ClickModel, ...] = (PositionBased(), Cascade(), Cascade(), Careless())
"""A client draws one of these; half of them read as a cascade."""
