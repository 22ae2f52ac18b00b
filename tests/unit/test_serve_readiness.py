"""What the question whether the gateway is ready costs, and what it answers when Ray Serve has no replica."""

import asyncio
from typing import Any

import pytest
from serve_client import gateway
from serve_fakes import FakeCatalogue, World
from typing_extensions import override

from agent.serve.readiness import KEPT_S, Readiness


class Looked:
    """A dependency that counts the looks and holds them back while it is told to."""

    def __init__(self) -> None:
        self.n = 0
        self.is_there = True
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self) -> bool:
        self.n += 1
        await self.answers.wait()
        return self.is_there


class Times:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def test_all_who_ask_at_once_and_within_a_second_share_one_look() -> None:
    engine, times = Looked(), Times()
    readiness = Readiness({"opensearch": engine}, monotonic_s=times)
    engine.answers.clear()
    asking = [asyncio.ensure_future(readiness.look(["opensearch"])) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()  # the one whose question it was goes away
    await asyncio.sleep(0)
    engine.answers.set()
    assert await asyncio.gather(*asking[1:]) == [{"opensearch": True}] * 49
    engine.is_there = False
    times.now_s += KEPT_S - 0.01
    assert await readiness.look(["opensearch"]) == {"opensearch": True}
    assert engine.n == 1
    times.now_s += 0.01
    assert await readiness.look(["opensearch"]) == {"opensearch": False}
    assert engine.n == 2


class CountedCatalogue(FakeCatalogue):
    """Counts how often it was asked whether it is there."""

    looks = 0

    @override
    async def ready(self) -> bool:
        self.looks += 1
        return True


async def test_only_the_needs_that_are_asked_for_are_looked_at() -> None:
    world = World()
    world.catalogue = catalogue = CountedCatalogue()
    async with gateway(world) as http:
        for _ in range(20):
            assert (await http.get("/readyz", params={"needs": "rewriter"})).status_code == 200
        assert catalogue.looks == 0
        for _ in range(20):
            assert (
                await http.get("/readyz", params={"needs": ["opensearch", "opensearch"]})
            ).status_code == 200
        assert catalogue.looks == 1


class Gone:
    """A handle of Ray Serve's behind which there is no replica."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @property
    def ready(self) -> "Gone":
        return self

    async def remote(self) -> Any:  # noqa: ANN401 - as Ray's
        raise self._error


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")  # Ray Serve's own
@pytest.mark.timeout(120)  # it is read here
async def test_a_deployment_that_ray_serve_gave_up_is_a_rewriter_that_is_missing() -> None:
    from ray.serve._private.common import DeploymentID  # noqa: PLC0415 - Ray Serve warns
    from ray.serve.exceptions import DeploymentUnavailableError  # noqa: PLC0415

    from agent.serve.app import HandleClient  # noqa: PLC0415

    client = HandleClient("unseen-default")
    client._replicas = Gone(DeploymentUnavailableError(DeploymentID(name="Rewriter")))
    world = World()
    world.rewriter = client  # type: ignore[assignment]
    async with gateway(world) as http:
        answer = await http.get("/readyz", params={"needs": "rewriter"})
    assert (answer.status_code, answer.json()["missing"]) == (503, ["rewriter"])
