"""The servers of a benchmark: started for it, ended with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from agent.demo.stack import Service, Stack, start_opensearch, start_redis, start_stand_in


@contextmanager
def servers(
    *, opensearch: str | None = None, is_quick: bool = False
) -> Iterator[tuple[Path, Service, Service]]:
    """Give a folder, Redis and OpenSearch, all of the benchmark's own; ``opensearch`` names one by URL."""
    with Stack() as stack:
        redis, search = stack.start(
            partial(start_redis, stack.folder, spawn=stack.spawn),
            partial(search_server, stack, opensearch, is_quick=is_quick),
        )
        yield stack.folder, redis, search


def search_server(stack: Stack, url: str | None = None, *, is_quick: bool) -> Service:
    """Return the OpenSearch at the URL, or start one; for a quick look the stand-in, which is up at once."""
    if is_quick and url is None:
        return start_stand_in(stack.folder, spawn=stack.spawn, why="a quick look measures nothing")
    return start_opensearch(stack.folder, url, spawn=stack.spawn)
