"""The vLLM server, where it writes the rewrites: there, and started as the engine needs it."""

import time

from agent.doctor.check import Check, failed, ok
from agent.errors import AgentError
from agent.policy.vllm.meeting import meet
from agent.policy.vllm.server import START, Server
from agent.sections import PolicySettings

NAME = "vllm"
LOOK_S = 8.0
PROMPT = tuple(range(5, 21))
"""Some tokens: what a model makes of them does not matter, only how sure it is at two temperatures."""


def look_at_vllm(policy: PolicySettings) -> list[Check]:
    """Ask the server what it serves, what its log-probabilities are of, and whether adapters may change."""
    until = time.monotonic() + LOOK_S
    try:
        server = Server.of(policy)
    except AgentError as error:
        return [failed(NAME, str(error), "set policy.vllm_url and policy.vllm_key_file")]
    try:
        base, changes = meet(server, PROMPT, until), server.changes_adapters(until)
    except AgentError as error:
        return [failed(NAME, str(error), START)]
    finally:
        server.close()
    if not changes:
        return [failed(NAME, f"{server.where} lets no adapters be loaded: no version can be taken up", START)]
    return [ok(NAME, f"{base} at {server.where}, log-probabilities after the temperature")]
