"""Poisoned versions against the gate, replicas and trials: `python -m tests.bench.poisons --json`."""
