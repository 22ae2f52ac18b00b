"""One finding: what was looked at, how it is, what to do."""

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """What one look found."""

    name: str
    state: State
    found: str
    do: str = ""
    """What to do about it; empty: nothing."""

    def as_dict(self) -> dict[str, str]:
        """Return it for programs."""
        return asdict(self)


def ok(name: str, found: str) -> Check:
    """Return that all is well."""
    return Check(name=name, state="ok", found=found)


def warning(name: str, found: str, do: str) -> Check:
    """Return that it works, or will, and that somebody should look."""
    return Check(name=name, state="warning", found=found, do=do)


def failed(name: str, found: str, do: str) -> Check:
    """Return that it cannot work so."""
    return Check(name=name, state="failed", found=found, do=do)


def skipped(name: str, why: str) -> Check:
    """Return that it was not looked at."""
    return Check(name=name, state="skipped", found=why)
