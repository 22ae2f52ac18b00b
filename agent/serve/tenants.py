"""Whether several tenants can be served behind one port."""

from collections import Counter
from collections.abc import Sequence

from agent.errors import Permanent
from agent.settings import Settings

SHARED = ("host", "port", "tls_cert", "tls_key")
"""Of ``serve``: the port is one, and so is what it speaks."""
TAKEN = frozenset({"search", "rewrite", "events", "queries", "collect", "healthz", "readyz"})
"""Names that a shop of one tenant knows as routes."""


def check_tenants(tenants: Sequence[Settings]) -> None:
    """Raise Permanent where tenants are named alike or as a route, or share what each needs for itself."""
    if not tenants:
        raise Permanent("there is no tenant to serve")
    _refuse_names(tenants)
    for n, settings in enumerate(tenants):
        for other in tenants[:n]:
            _refuse_common(settings, other)
            _refuse_apart(settings, other)


def _refuse_names(tenants: Sequence[Settings]) -> None:
    names = Counter(settings.tenant for settings in tenants)
    twice = [name for name, n in names.items() if n > 1]
    if twice:
        raise Permanent(
            f"tenant: {twice[0]} stands in two files; name each in its file, and not by UNSEEN_TENANT"
        )
    if len(tenants) > 1 and (taken := sorted(names.keys() & TAKEN)):
        raise Permanent(f"tenant: {taken[0]} is the name of a route; give this one of several another")


def _refuse_apart(one: Settings, other: Settings) -> None:
    """Raise Permanent where what several tenants share is not the same."""
    for name in SHARED:
        theirs, ours = getattr(one.serve, name), getattr(other.serve, name)
        if theirs != ours:
            raise Permanent(
                f"serve.{name}: {one.tenant} has {theirs} and {other.tenant} {ours}; "
                "tenants that are served together share it"
            )


def _refuse_common(one: Settings, other: Settings) -> None:
    """Raise Permanent where two have what each must have alone: often an environment variable's doing."""
    common = {
        "opensearch.index": _index(one) == _index(other),
        "weights.folder": str(one.weights_dir) == str(other.weights_dir),
        "serve.admin_port": one.serve.admin_port == other.serve.admin_port != 0,
        "access.server_keys, access.keys": bool(_keys(one) & _keys(other)),
    }
    for name, are_common in common.items():
        if are_common:
            raise Permanent(
                f"{name}: {one.tenant} and {other.tenant} have the same; set it in each one's file, "
                "and not by an environment variable, which stands above both"
            )


def _index(settings: Settings) -> tuple[str, str]:
    return settings.opensearch.url, settings.opensearch.index


def _keys(settings: Settings) -> set[str]:
    named = [one.key for one in settings.access.keys.values() if one.key is not None]
    return {key.get_secret_value() for key in (*settings.access.server_keys, *named)}
