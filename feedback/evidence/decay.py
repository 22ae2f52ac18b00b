"""Forward decay: evidence fades, and yet is a plain sum.

An action at time t adds ``2 ** ((t - landmark) / half_life)``; a read at time ``now`` multiplies by
``2 ** -((now - landmark) / half_life)``. So sums are additive and commutative, and the order of arrival does
not matter (Cormode, Shkapenyuk, Srivastava and Xu, Forward Decay, ICDE 2009). The landmark is the time of the
first record, kept in Redis beside the half-life: Redis keeps 17 decimals, so that a weight far below 1 would
vanish.
"""

from dataclasses import dataclass

from feedback.errors import Corrupt, Permanent

MIN_HALF_LIFE_S = 86_400.0
"""Shorter ones leave the range of doubles within three years."""
MAX_HALF_LIVES = 900.0
"""From the landmark; 2 ** 900 times a million actions is still a double."""


def as_text(stored: bytes | str) -> str:
    """Return what Redis sent as text."""
    return stored.decode() if isinstance(stored, bytes) else stored


@dataclass(frozen=True, kw_only=True)
class Decay:
    """How the weight of an action fades.

    Raises:
        Permanent: the half-life is under a day.
    """

    landmark_ms: int
    half_life_s: float

    def __post_init__(self) -> None:
        if self.half_life_s < MIN_HALF_LIFE_S:
            raise Permanent(f"half_life_s: at least a day ({MIN_HALF_LIFE_S:g}), not {self.half_life_s:g}")

    def weight(self, at_ms: int) -> float:
        """Return what an action at that time adds to a stored sum.

        Raises:
            Corrupt: so far from the landmark that evidence must be rebuilt from the ledger with a new one.
        """
        half_lives = (at_ms - self.landmark_ms) / 1000 / self.half_life_s
        if abs(half_lives) > MAX_HALF_LIVES:
            raise Corrupt(f"evidence is {half_lives:.0f} half-lives from its landmark: rebuild it")
        return float(2.0**half_lives)

    def factor(self, now_ms: int) -> float:
        """Return what a stored sum is multiplied by when read at that time."""
        return 1.0 / self.weight(now_ms)

    def encode(self) -> bytes:
        """Return the form in which Redis keeps it."""
        return f"{self.landmark_ms}:{self.half_life_s:g}".encode()

    @classmethod
    def decode(cls, stored: bytes | str, *, half_life_s: float) -> "Decay":
        """Read what Redis keeps.

        Raises:
            Permanent: the data was made with another half-life.
        """
        landmark, _, half_life = as_text(stored).partition(":")
        if half_life != f"{half_life_s:g}":
            raise Permanent(
                f"half_life_s: the evidence was made with {half_life}, the setting says {half_life_s:g}"
            )
        return cls(landmark_ms=int(landmark), half_life_s=half_life_s)
