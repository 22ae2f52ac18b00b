"""A step as its record, and the record as a step again."""

import asyncio
import json
import platform

import torch
from msgspec.structs import replace

from agent.learner.batches import (
    UNKNOWN,
    Asked,
    BatchRecord,
    BatchStore,
    Ground,
    GroupRecord,
    Taught,
    Written,
)
from agent.learner.checkpoint import Progress
from agent.learner.parts import Parts
from agent.learner.rollout import Rollout, Target
from agent.learner.step import Step
from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION, Prompt
from agent.settings import Settings
from feedback.records import Rewrite

RAW = ""


class Recorder:
    """Keeps what each step was made of."""

    def __init__(self, parts: Parts, batches: BatchStore) -> None:
        self._parts = parts
        self._batches = batches
        self._ground: Ground | None = None
        self._settings = settings_in(parts.settings)

    async def keep(self, step: Step, progress: Progress) -> None:
        """Write the record of a step that led to this progress."""
        position = self._parts.pool.position()
        if self._ground is None:  # threads are counted where it computes
            self._ground = await self._parts.bridge.compute(lambda: ground_of(self._parts.policy))
        record = record_of(
            step,
            replace(progress, position=position),
            at_ms=self._parts.stores.clock(),
            settings=self._settings,
            ground=self._ground,
        )
        await asyncio.to_thread(self._batches.write, record)


def record_of(step: Step, progress: Progress, *, at_ms: int, settings: str, ground: Ground) -> BatchRecord:
    """Return the record of a step that led to this progress."""
    places = {rollout.prompt.query: place for place, rollout in enumerate(step.rollouts)}
    return BatchRecord(
        line=progress.line,
        update=progress.updates,
        version=progress.version,
        at_ms=at_ms,
        snapshot_ids=tuple(step.snapshot_ids),
        position=progress.position,
        fresh=step.fresh,
        asks=tuple(Asked(seed=seed, groups=tuple(places[q] for q in asked)) for seed, asked in step.asks),
        groups=tuple(map(_group, step.rollouts)),
        pages=tuple(step.pages),
        advantages=tuple(step.advantages),
        settings=settings,
        ground=ground,
    )


def step_of(record: BatchRecord) -> Step:
    """Return the step, without what was found: nothing of an update depends on it."""
    settings = json.loads(record.settings)
    temperature = float(settings["policy"]["temperature"])
    rollouts = [_rollout(group, temperature, record.version) for group in record.groups]
    return Step(
        rollouts=rollouts,
        pages=list(record.pages),
        advantages=list(record.advantages),
        asks=[(one.seed, tuple(rollouts[i].prompt.query for i in one.groups)) for one in record.asks],
        snapshot_ids=list(record.snapshot_ids),
        fresh=record.fresh,
    )


def settings_in(settings: Settings) -> str:
    """Return what the record says of the settings."""
    return settings.model_dump_json(include={"learner", "policy"})


def settings_of(record: BatchRecord, settings: Settings) -> Settings:
    """Return the settings with the sections that the step was made under; no remote runner writes again."""
    told = json.loads(record.settings)
    learner = settings.learner.model_validate({**told["learner"], "runners": 0})
    policy = settings.policy.model_validate(told["policy"])
    return settings.model_copy(update={"learner": learner, "policy": policy})


def ground_of(policy: Policy) -> Ground:
    """Return what steps are made with in this process."""
    return Ground(
        base_model=policy.base_model,
        prompt_version=PROMPT_VERSION,
        device=policy.device.type,
        dtype=str(policy.lm.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        cpu=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    )


def _group(rollout: Rollout) -> GroupRecord:
    lists = list(dict.fromkeys([rollout.found[RAW], *rollout.found.values()])) if rollout.found else []
    objects = {name: place for place, name in enumerate(dict.fromkeys(i for one in lists for i in one))}
    places = {page: place for place, page in enumerate(lists)}
    found = {text: places[page] for text, page in rollout.found.items()}
    own = zip(rollout.own, rollout.rewards, rollout.gains, strict=True)
    return GroupRecord(
        query=rollout.prompt.query,
        examples=rollout.prompt.examples,
        form=rollout.prompt.form,
        history=rollout.prompt.history,
        own=tuple(
            Written(
                text=one.text,
                token_ids=one.token_ids,
                token_logprobs=one.token_logprobs,
                reward=reward,
                gain=gain,
                found=found.get(one.text, UNKNOWN),
            )
            for one, reward, gain in own
        ),
        targets=tuple(
            Taught(text=t.text, weight=t.weight, reward=t.reward, found=found.get(t.text, UNKNOWN))
            for t in rollout.targets
        ),
        objects=tuple(objects),
        lists=tuple(tuple(objects[i] for i in one) for one in lists),
    )


def _rollout(group: GroupRecord, temperature: float, version: int) -> Rollout:
    own = tuple(
        Rewrite(
            text=one.text,
            token_ids=one.token_ids,
            token_logprobs=one.token_logprobs,
            temperature=temperature,
            version=version,
        )
        for one in group.own
    )
    return Rollout(
        prompt=Prompt(query=group.query, examples=group.examples, form=group.form, history=group.history),
        own=own,
        rewards=tuple(one.reward for one in group.own),
        gains=tuple(one.gain for one in group.own),
        targets=tuple(Target(text=t.text, weight=t.weight, reward=t.reward) for t in group.targets),
    )
