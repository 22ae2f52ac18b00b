"""Versions of the policy's weights: whole files, a registry that only rises, replicas that follow."""

from agent.weights.registry import Registry
from agent.weights.store import AdapterStore, Saved, State
from agent.weights.watcher import Watcher

__all__ = ["AdapterStore", "Registry", "Saved", "State", "Watcher"]
