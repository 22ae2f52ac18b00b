"""Intervals of what a benchmark measures over seeds."""

from collections.abc import Sequence
from math import sqrt
from statistics import stdev

from scipy.stats import t


def half_width(values: Sequence[float]) -> float | None:
    """Return half the width of the mean's 95 % interval (Student's t); None of one value."""
    error = standard_error(values)
    return None if error is None else float(t.ppf(0.975, len(values) - 1)) * error


def standard_error(values: Sequence[float]) -> float | None:
    """Return the mean's standard error; None of one value."""
    return stdev(values) / sqrt(len(values)) if len(values) > 1 else None
