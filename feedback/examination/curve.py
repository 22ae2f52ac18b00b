"""How much a showing at a rank counts, and how many of its clicks mean nothing. Pure.

Clicks are corrected in the affine way (Vardasbi, Oosterhuis and de Rijke, When inverse propensity scoring
does not work: affine corrections for unbiased learning to rank, CIKM 2020, arXiv 2008.10242): attraction is
(clicks - sum of trusted) / (sum of looked), each sum over an object's showings. Guarantees that no showing
counts less than the floor where examinations divide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FLOOR = 0.05
Model = Literal["browsing", "cascade", "trust"]
"""Of how a page is read: see `feedback.examination.propensity`."""
Choice = Literal["auto", "browsing", "cascade", "trust"]


def examination(rank: int, by_rank: Sequence[float]) -> float:
    """Return the probability in (0, 1] that a shopper looks at a rank, which counts from 1.

    Past the end of ``by_rank`` it falls as 1 / rank from the last value.
    """
    return by_rank[rank - 1] if rank <= len(by_rank) else by_rank[-1] * len(by_rank) / rank


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What a showing is worth, by rank from 1."""

    by_rank: tuple[float, ...]
    """How likely it is looked at."""
    trusted: tuple[float, ...] = ()
    """Clicks a showing that go to the rank itself (trust bias); none past its end."""
    floor: float = FLOOR
    """Least examination that a showing counts as."""

    def looked(self, rank: int) -> float:
        """Return the clipped examination of a rank."""
        return max(self.floor, examination(rank, self.by_rank))

    def trust(self, rank: int) -> float:
        """Return the clicks that a showing at the rank gets whatever it shows."""
        return self.trusted[rank - 1] if rank <= len(self.trusted) else 0.0
