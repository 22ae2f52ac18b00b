"""The commands of the one transaction that takes a client out of a partition."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from redis.asyncio.client import Pipeline

from feedback.collecting.commit import GROUP
from feedback.erasing.refold import as_stored
from feedback.erasing.traces import Traces
from feedback.keys import Keys

AT_ONCE = 1000
"""Arguments of one command, so that none holds the server for long."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What the evidence becomes."""

    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Key -> field -> value; 0: the field goes."""
    bounds: Mapping[str, int] = field(default_factory=dict)
    """Key -> how many members its hash may hold."""
    moved: Mapping[str, bool] = field(default_factory=dict)
    """``segment|query`` of the touched queries; False: nothing is left of it, and nothing rests on it."""
    crowds: Mapping[str, str] = field(default_factory=dict)
    """``segment|query`` -> who else asked it; empty: nobody."""
    seq: int = 0
    """Of the partition before."""


def queue(pipe: Pipeline, keys: Keys, p: int, traces: Traces, changes: Changes) -> None:
    """Put everything into a pipeline."""
    for key, values in changes.values.items():
        _write(pipe, key, {name: as_stored(value) if value else "" for name, value in values.items()})
    _write(pipe, keys.crowds(p), changes.crowds)
    _move(pipe, keys, p, changes)
    _entries(pipe, keys, p, traces)
    _pages(pipe, keys, p, traces)


def _write(pipe: Pipeline, key: str, values: Mapping[str, str]) -> None:
    """Write the fields of a hash; one whose value is empty goes."""
    kept = [(name, value) for name, value in values.items() if value]
    for some in _some(kept):
        pipe.hset(key, mapping=dict(some))
    for gone in _some([name for name, value in values.items() if not value]):
        pipe.hdel(key, *gone)


def _move(pipe: Pipeline, keys: Keys, p: int, changes: Changes) -> None:
    """Give the touched queries new sequence numbers, so that verifier and learner look at them again."""
    again = [name for name, stays in changes.moved.items() if stays]
    gone = [name for name, stays in changes.moved.items() if not stays]
    move(pipe, keys, p, again, changes.seq)
    for some in _some(gone):
        pipe.zrem(keys.moved(p), *some)


def move(pipe: Pipeline, keys: Keys, p: int, names: Iterable[str], seq: int) -> None:
    """Give queries (``segment|query``) the partition's next sequence numbers; ``seq``: the newest given."""
    numbered = {name: seq + i for i, name in enumerate(names, start=1)}
    if numbered:
        pipe.zadd(keys.moved(p), numbered)
        pipe.hset(keys.counts(p), "seq", str(max(numbered.values())))


def _entries(pipe: Pipeline, keys: Keys, p: int, traces: Traces) -> None:
    for stream, ids in traces.unread.items():
        for some in _some(ids):
            pipe.xack(stream, GROUP, *some)  # else the next owner finds an empty entry pending
            pipe.xdel(stream, *some)
    streams = {keys.dead(p): traces.dead, keys.explored(p): traces.explored, **traces.row_ids}
    for stream, ids in streams.items():
        for some in _some(ids):
            pipe.xdel(stream, *some)
    if traces.spent:
        pipe.unlink(*traces.spent)


def _pages(pipe: Pipeline, keys: Keys, p: int, traces: Traces) -> None:
    for some in _some(traces.joins):
        pipe.unlink(*(keys.join(p, query_id) for query_id in some))
        pipe.zrem(keys.waiting(p), *some)
    for query_id, fields in traces.waiting.items():
        pipe.hdel(keys.join(p, query_id), *fields)
    for some in _some(sorted(traces.pages)):
        pipe.zrem(keys.exploring(p), *some)
    for ids in _some(traces.seen):
        pipe.zrem(keys.seen(p), *ids)
    for key, objects in traces.sold.items():
        pipe.hdel(key, *objects)
    if traces.accounts:
        pipe.unlink(*traces.accounts)


def _some(many: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(many), AT_ONCE):
        yield many[start : start + AT_ONCE]
