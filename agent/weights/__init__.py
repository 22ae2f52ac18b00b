"""Versions of the policy's weights: whole files, a registry that only rises, replicas that follow."""
