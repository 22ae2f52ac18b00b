"""The application for a Ray cluster that somebody else runs: KubeRay's `import_path`.

Settings, keys and the tenant's secret are read where this is called, on one of the cluster's nodes; replicas
on the others get what they hold. Ports, TLS and the number of replicas are the cluster's configuration,
and so is the application's name, which must be that of `agent.serve.app.name_of`.
"""

from collections.abc import Mapping
from typing import Any

from agent.logs import configure
from agent.serve.app import application, looked_at
from agent.settings import Settings


def build(args: Mapping[str, str]) -> Any:  # noqa: ANN401 - Ray's graph is untyped
    """Return the application, as the settings have it.

    Args:
        args: as Ray's configuration gives them; `url` is where shops reach the gateway, told in its vitals.

    Raises:
        Permanent: as `agent.serve.app.start`.
    """
    settings = Settings.load()
    configure(settings.log, process="serve")
    return application(looked_at(settings), args.get("url", ""))
