"""How many processes of a kind Ray Serve runs: a fixed number, or as many as the load asks for."""

from typing import Any

from agent.sections import ServeSettings


def gateways(settings: ServeSettings) -> dict[str, Any]:
    """Return the options of the gateways' deployment."""
    return _between(settings.gateways, settings.most_gateways, settings.gateway_load)


def replicas(settings: ServeSettings) -> dict[str, Any]:
    """Return the options of the rewriters' deployment."""
    return _between(settings.replicas, settings.most_replicas, settings.replica_load)


def most(settings: ServeSettings) -> int:
    """Return the most processes that there may be at once, of both kinds."""
    return (settings.most_gateways or settings.gateways) + (settings.most_replicas or settings.replicas)


def _between(least: int, most: int | None, load: float) -> dict[str, Any]:
    if most is None or most == least:
        return {"num_replicas": least}
    scale = {"min_replicas": least, "max_replicas": most, "target_ongoing_requests": load}
    return {"autoscaling_config": scale}
