"""Clocks that differ: events of the future are refused, clicks stand before their pages."""

from agent.doctor.check import Check, failed, ok, warning

TOLD_S = 2.0
"""Beyond it a clock is not kept by anybody: NTP keeps them within milliseconds."""


def judge_clock(name: str, ahead_s: float, slack_s: float) -> Check:
    """Say whether a clock that is ahead of ours (behind: below 0) by so much does harm.

    ``slack_s`` is `feedback.future_tolerance_s`, beyond which an event is refused.
    """
    if abs(ahead_s) < TOLD_S:
        return ok(name, f"within {max(abs(ahead_s), 0.001):.3f} s of this machine's")
    found = f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
    do = "let NTP keep both clocks (chrony, systemd-timesyncd)"
    if abs(ahead_s) > slack_s:
        return failed(name, f"{found}: events are refused beyond {slack_s:g} s", do)
    return warning(name, found, do)
