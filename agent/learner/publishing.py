"""From weights to a version that serves: number, file, gate, manifest, promotion, in that order."""

import msgspec
import structlog

from agent.learner.checkpoint import Progress
from agent.learner.parts import Parts
from agent.learner.rollout import Snapshot, prompt_for, rewards, snapshot
from agent.policy.prompt import PROMPT_VERSION, Prompt, same_ground
from agent.weights.registry import Registry
from agent.weights.store import AdapterStore, Saved, State
from agent.weights.verdict import Answer, Judge
from feedback.records import Manifest

log = structlog.get_logger()


class Publisher:
    """Judges candidate and serving version on the same held-back queries, prompts and snapshot."""

    def __init__(self, parts: Parts, registry: Registry, store: AdapterStore, judge: Judge) -> None:
        self._parts = parts
        self._registry = registry
        self._store = store
        self._judge = judge
        self._base = parts.policy.adapter_state()

    async def publish(self, progress: Progress, divergence: float = 0.0) -> tuple[Manifest, bool]:
        """Return the new version's manifest and whether it serves now.

        Args:
            progress: how far learning has come.
            divergence: from the base model, nats a token; stands among the version's figures.
        """
        state = await self._parts.bridge.compute(self._parts.policy.adapter_state)
        serving = await self._registry.stable()
        version = await self._registry.next_version()
        manifest = self._manifest(version, self._store.save(version, state), progress)
        manifest = msgspec.structs.replace(manifest, parent=serving.version if serving else 0)
        manifest, admitted = await self._judged(manifest, state, serving)
        manifest = msgspec.structs.replace(manifest, gate=manifest.gate | {"divergence_nats": divergence})
        await self._registry.publish(manifest)
        if admitted:
            await self._registry.promote(version)
        log.info("version.judged", policy_version=version, admitted=admitted, verdict=manifest.verdict)
        self._store.remove(await self._registry.prune(self._parts.settings.release.keep_versions))
        return manifest, admitted

    def _manifest(self, version: int, saved: Saved, progress: Progress) -> Manifest:
        return Manifest(
            version=version,
            parent=0,
            base_model=self._parts.policy.base_model,
            prompt_version=PROMPT_VERSION,
            uri=saved.uri,
            sha256=saved.sha256,
            n_bytes=saved.n_bytes,
            made_at_ms=self._parts.stores.clock(),
            steps=progress.updates,
            evidence_seq={str(p): seq for p, seq in progress.position.items()},
            newest_click_at_ms=progress.newest_click_at_ms,
        )

    async def _judged(
        self, manifest: Manifest, state: State, serving: Manifest | None
    ) -> tuple[Manifest, bool]:
        """Return the manifest with the gate's figures and verdict, and whether it may serve."""
        parts = self._parts
        queries = parts.pool.held(parts.settings.learner.gate_queries)
        frozen = await snapshot(parts.stores.evidence, queries, parts.totals, parts.settings)
        prompts = [prompt_for(q, parts.stores.index, parts.settings) for q in queries if frozen.judged(q)]
        before = self._store.load(serving) if serving and self._fits(serving) else self._base
        candidate = await self._answers(prompts, state, frozen)
        incumbent = await self._answers(prompts, before, frozen)
        await self._take_over(state)
        verdict = self._judge(manifest, candidate, incumbent)
        return (
            msgspec.structs.replace(manifest, gate=verdict.figures, verdict=verdict.reason),
            verdict.admitted,
        )

    def _fits(self, serving: Manifest) -> bool:
        """Tell whether a version answers these prompts: one of another model or prompt is no rival."""
        return same_ground(serving.base_model, serving.prompt_version, self._parts.policy.base_model)

    async def _answers(self, prompts: list[Prompt], state: State, frozen: Snapshot) -> dict[str, Answer]:
        """Return the greedy rewrites under these weights, searched and scored."""
        if not prompts:
            return {}
        parts = self._parts
        await self._take_over(state)
        groups = await parts.bridge.compute(lambda: parts.policy.sample(prompts, n=1, greedy=True))
        texts = {prompt.query: [group[0].text] for prompt, group in zip(prompts, groups, strict=True)}
        scored = await rewards(parts.stores.catalogue, texts, frozen, parts.settings)
        return {query: Answer(text=texts[query][0], reward=scored[query][0]) for query in texts}

    async def _take_over(self, state: State) -> None:
        policy = self._parts.policy
        await self._parts.bridge.compute(lambda: policy.load_adapter(state, policy.version))
