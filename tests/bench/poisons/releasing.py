"""Versions are made with or without their wounds, judged by the real gate, and offered to a real replica."""

import asyncio
import hashlib
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from safetensors.torch import save as serialise

from agent.errors import AgentError
from agent.policy.prompt import PROMPT_VERSION
from agent.release.gating import Gatekeeper
from agent.release.parts import Parts
from agent.serve.asking import RewriteAsk
from agent.serve.replica import RewriterReplica
from agent.weights.store import State
from feedback.version_records import Manifest, Trial

FILES = ("torn_file", "old_pickle", "wrong_base")
"""Kinds whose weights are sound and whose file or manifest is not."""
LOOKS = 2.5
"""Polls within which a replica has surely looked."""


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What became of a version."""

    kind: str
    version: int
    admitted: bool
    reason: str
    answered: bool
    """Whether the replica still answers after it was put on trial there, by this version or another."""


@dataclass(kw_only=True)
class Release:
    """The gate and one replica."""

    parts: Parts
    gate: Gatekeeper
    replica: RewriterReplica
    base_model: str

    async def offer(self, kind: str, seed: int, state: State) -> Offered:
        """Make a version, judge it, and put it on trial in the replica whatever the gate said."""
        made = await self._made(kind, seed, state)
        await self.parts.registry.publish(made)
        admitted, reason = await self._judged(made)
        answered = await self._tried(made.version)
        return Offered(kind=kind, version=made.version, admitted=admitted, reason=reason, answered=answered)

    async def _judged(self, made: Manifest) -> tuple[bool, str]:
        scene = await self.parts.desk.scene()
        broken = await self.gate.unsound(scene)
        verdict = broken[1] if broken else await self.gate.judge(made, None, None)
        await self.parts.desk.judge(scene, made.version, verdict)
        return verdict.admitted, verdict.reason

    async def _tried(self, version: int) -> bool:
        """Have the replica take the version up, ask it, and ask what serves; tell whether that answers."""
        trial = Trial(version=version, stable=0, share=0.05, began_at_ms=0)
        key = self.parts.settings.keys.trial()
        await self.parts.redis.set(key, msgspec.json.encode(trial))
        await asyncio.sleep(LOOKS * self.parts.settings.serve.poll_s)
        await self._answers(version)  # in its own words or with a reason why not: both are answers
        answers = await self._answers(0)
        await self.parts.redis.delete(key)
        return answers

    async def _answers(self, version: int) -> bool:
        try:
            await self.replica.rewrite(RewriteAsk(query=f"grey couch {version}", version=version))
        except AgentError:
            return False
        return True

    async def _made(self, kind: str, seed: int, state: State) -> Manifest:
        version = await self.parts.registry.next_version()
        content = serialise(dict(state))  # a learner whose own checks are broken
        manifest = self._manifest(version, content)
        wounded = WOUNDS[kind](content, seed) if kind in WOUNDS else content
        self.parts.store.files.put(manifest.uri, wounded)
        if kind == "old_pickle":  # a whole file of another time
            manifest = msgspec.structs.replace(manifest, **_sums(wounded))
        if kind == "wrong_base":
            manifest = msgspec.structs.replace(manifest, base_model=f"another-{seed}")
        return manifest

    def _manifest(self, version: int, content: bytes) -> Manifest:
        return Manifest(
            version=version,
            parent=0,
            base_model=self.base_model,
            prompt_version=PROMPT_VERSION,
            uri=f"adapter-{version:08d}-000000000000.safetensors",
            sha256=hashlib.sha256(content).hexdigest(),
            n_bytes=len(content),
            made_at_ms=self.parts.clock(),
            steps=1,
        )


def _sums(content: bytes) -> dict[str, int | str]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "n_bytes": len(content)}


def _torn(content: bytes, seed: int) -> bytes:
    return content[: len(content) * (seed % 10) // 10]


def _pickled(content: bytes, seed: int) -> bytes:
    del content
    return pickle.dumps({"weights": list(range(seed + 10))})


WOUNDS: Mapping[str, Callable[[bytes, int], bytes]] = {"torn_file": _torn, "old_pickle": _pickled}
