"""What the processes say of themselves, read from Redis for the live view and the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from redis.asyncio import Redis

from feedback.keys import Keys

PROCESSES = ("gateway", "collector", "verifier", "learner", "release")


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """One reading of all processes; a process that has not spoken yet is empty."""

    of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def number(self, process: str, name: str) -> float | None:
        """Return a figure, or None where it is not known."""
        text = self.of.get(process, {}).get(name)
        try:
            return None if text is None else float(text)
        except ValueError:
            return None


async def read(redis: Redis, keys: Keys) -> Vitals:
    """Return what every process said last."""
    async with redis.pipeline(transaction=False) as pipe:
        for process in PROCESSES:
            pipe.hgetall(keys.vitals(process))
        answers = await pipe.execute()
    return Vitals(
        of={
            process: {k.decode(): v.decode() for k, v in answer.items()}
            for process, answer in zip(PROCESSES, answers, strict=True)
        }
    )
