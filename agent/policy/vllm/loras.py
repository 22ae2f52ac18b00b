"""The adapters on a vLLM server: given to it, taken away from it.

Guarantees that an adapter which was given is one that the server can be asked for, and that one which it does
not take is told apart from a server that is away. Several replicas may give and take the same ones: names
say what an adapter holds, and who misses one gives it again.
"""

import time
from collections.abc import Iterable
from pathlib import Path

import structlog

from agent.errors import BadWeights, Transient
from agent.policy.vllm.adapters import PeftAdapter
from agent.policy.vllm.server import BAD_REQUEST, NOT_FOUND, START, Declined, Server

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Loras:
    """What this process had the server load."""

    def __init__(self, server: Server, folder: Path) -> None:
        """Take a server, and the folder that it sees at the same path."""
        self._server, self._folder = server, folder
        self._unwanted: set[str] = set()
        """That the server still has to let go of."""

    def give(self, adapter: PeftAdapter, until: float) -> None:
        """Have the server load an adapter, unless it has it.

        Raises:
            BadWeights: the server is well and does not take it.
            Transient: it could not be done now; the message says what to do.
        """
        self._unwanted.discard(adapter.name)
        if self._has(adapter.name, until):
            return
        try:
            path = adapter.write(self._folder)
        except OSError as error:
            raise Transient(f"policy.vllm_folder: {self._folder} cannot be written to: {error}") from error
        try:
            self._server.load(adapter.name, str(path), until)
        except Declined as error:
            self._judge(error, adapter.name, path, until)

    def take_away(self, adapters: Iterable[PeftAdapter], timeout_s: float) -> None:
        """Have the server let go of these, and of what it did not let go of before."""
        gone = list(adapters)
        self._unwanted.update(one.name for one in gone)
        self._forget(time.monotonic() + timeout_s)
        for one in gone:
            one.remove(self._folder)

    def _forget(self, until: float) -> None:
        """What fails is tried again at the next change; nobody asks for it meanwhile."""
        for name in sorted(self._unwanted):
            try:
                self._server.unload(name, until)
            except Transient as error:
                log.warning("vllm.not_unloaded", error=error, adapter=name)
                return
            self._unwanted.discard(name)

    def _has(self, name: str, until: float) -> bool:
        return any(card.id == name for card in self._server.cards(until))

    def _judge(self, error: Declined, name: str, path: Path, until: float) -> None:
        if error.status == NOT_FOUND:
            why = f"vLLM does not see {path}: mount policy.vllm_folder there" if error.said else START
            raise Transient(f"{name} was not loaded: {why}") from error
        if error.status == BAD_REQUEST and self._has(name, until):
            return  # another replica was faster
        if not self._server.is_well(until):
            raise Transient(f"{name} was not loaded: vLLM is not well") from error
        raise BadWeights(f"vLLM does not take {name}: {error.said}") from error
