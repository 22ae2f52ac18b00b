"""The servers of a benchmark: started for it, ended with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from agent.demo.stack import Service, Stack, start_opensearch, start_redis


@contextmanager
def servers(*, opensearch: str | None = None) -> Iterator[tuple[Path, Service, Service]]:
    """Give a folder, Redis and OpenSearch, all of the benchmark's own; ``opensearch`` names one by URL."""
    with Stack() as stack:
        redis, search = stack.start(
            partial(start_redis, stack.folder, spawn=stack.spawn),
            partial(start_opensearch, stack.folder, opensearch, spawn=stack.spawn),
        )
        yield stack.folder, redis, search
