"""Seeded draws: the same labels give the same stream on every machine and in any order."""

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def stream(*labels: int | str) -> np.random.Generator:
    """Return the generator that belongs to these labels alone."""
    return np.random.default_rng(
        [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in labels]
    )


def pick(random: np.random.Generator, options: Sequence[T]) -> T:
    """Return one option, each as likely as the others."""
    return options[int(random.integers(len(options)))]


def some(random: np.random.Generator, options: Sequence[T], count: int) -> list[T]:
    """Return up to `count` different options in random order."""
    order = random.permutation(len(options))
    return [options[int(place)] for place in order[: max(count, 0)]]
