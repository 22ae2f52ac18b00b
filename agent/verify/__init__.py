"""Judges candidate rewrites on the evidence and the live catalogue; the only writer of verdicts."""

from agent.verify.store import LeaseLostError, VerdictWriter
from agent.verify.verifier import Judged, Verifier

__all__ = ["Judged", "LeaseLostError", "VerdictWriter", "Verifier"]
