"""A process's metrics over HTTP, for Prometheus to read."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from agent.errors import Permanent
from agent.sections import MetricsSettings


@contextmanager
def exposed(settings: MetricsSettings, port: int, registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """Show the registry at ``http://host:port/metrics`` while the work runs; port 0 shows nothing.

    Raises:
        Permanent: nobody can listen there.
    """
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port, settings.host, registry)
    except OSError as error:
        raise Permanent(
            f"metrics: cannot listen at {settings.host}:{port} ({error}): set another port, or 0 for none"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
