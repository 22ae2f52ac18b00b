"""What the gateway is held against: a Ray Serve application that only forwards the raw query.

Runs as a process of the benchmark (`python -m tests.bench.gateway.bare`) on the same Ray and the same HTTP
proxy as the gateway, under ``/bare``; settings come from the environment as for `unseen serve`.
"""

import time
from typing import Any

import ray
from fastapi import FastAPI
from opensearchpy import AsyncOpenSearch
from pydantic import BaseModel
from ray import serve
from ray.serve.schema import LoggingConfig

from agent.policy.plan import Plan
from agent.retrieval.templates import Templates
from agent.settings import Settings

ROUTE = "/bare"


class Asked(BaseModel):
    """A search, as it is sent to the gateway."""

    user_query: str
    client_id: str = ""
    size: int = 10


def build(settings: Settings) -> FastAPI:
    """Return the application: one search of the raw query's body, its hits as they are."""
    app = FastAPI()
    templates = Templates(settings.opensearch)
    client = AsyncOpenSearch(hosts=[settings.opensearch.url])
    index = settings.opensearch.index

    @app.post("/search")
    async def search(asked: Asked) -> dict[str, Any]:
        """Return the page of the raw query."""
        call = templates.call("default", {})
        template, values = templates.rendering(call)
        body = template.render(Plan(user_query=asked.user_query, call=call), values, size=asked.size)
        answer = await client.search(index=index, body=body)
        return {"hits": answer["hits"]["hits"]}

    return app


def main() -> None:
    """Deploy on the Ray that `RAY_ADDRESS` names, and stay."""
    settings = Settings.load(None)
    ray.init(logging_level="warning")

    def app() -> FastAPI:
        return build(settings)

    quiet = LoggingConfig(log_level="WARNING", enable_access_log=False)
    deployed = serve.deployment(name="Bare", max_ongoing_requests=1024, ray_actor_options={"num_cpus": 0.5})(
        serve.ingress(app)()
    )
    serve.run(deployed.bind(), name="bare", route_prefix=ROUTE, logging_config=quiet)
    print("ready", flush=True)  # noqa: T201 - the benchmark waits for it
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
