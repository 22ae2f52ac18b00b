"""What searches of another purpose than a shopper's may take of a gateway, and how they are counted."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from serve_client import ask, gateway
from serve_fakes import FakeCatalogue, FakeRewriter, World, settings_of
from typing_extensions import override

import agent
from agent.errors import Busy
from agent.policy.plan import Plan
from agent.retrieval.catalogue import Catalogue
from agent.retrieval.limiter import Limiter
from agent.retrieval.purposes import MOST_OTHERS, OTHER, OURS, Purposes
from agent.retrieval.results import Results
from agent.serve.assemble import assemble

MONITORING = {"user_query": "couch", "client_id": "m1", "purpose": "monitoring"}


class SlowCatalogue(FakeCatalogue):
    """Answers shoppers at once and others when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.waiting = 0

    @override
    async def search(self, plan: Plan, *, purpose: str = "search", **more: object) -> Results:
        if purpose != "search":
            self.waiting += 1
            await self.answers.wait()
            self.waiting -= 1
        return await super().search(plan, purpose=purpose, **more)  # type: ignore[arg-type]


class CrowdedCatalogue(FakeCatalogue):
    """Has no place for anybody."""

    @override
    async def search(self, *_: object, **__: object) -> Results:
        raise Busy("no place came free")


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_however_many_searches_nobody_waits_for_hang_shoppers_have_their_places() -> None:
    world = World(most_at_once=8)
    world.catalogue = catalogue = SlowCatalogue()
    busy = counted("unseen_limited_requests_total", why="background", key="-")
    async with gateway(world) as http:

        def monitor() -> asyncio.Task[httpx.Response]:
            return asyncio.ensure_future(http.post("/search", json=MONITORING))

        held = [monitor() for _ in range(2)]  # a quarter of eight
        async with asyncio.timeout(5):
            while catalogue.waiting < 2:
                await asyncio.sleep(0)
        for _ in range(20):
            refused = await http.post("/search", json=MONITORING)
            assert (refused.status_code, refused.json()["error"]) == (503, "busy")
            assert refused.headers["retry-after"] == "1"
        assert counted("unseen_limited_requests_total", why="background", key="-") == busy + 20
        assert counted("unseen_at_once_requests", surface="background") == 2
        await asyncio.gather(*(ask(http) for _ in range(4)))
        catalogue.answers.set()
        assert [one.status_code for one in await asyncio.gather(*held)] == [200, 200]
        assert (await http.post("/search", json=MONITORING)).status_code == 200
    assert counted("unseen_at_once_requests", surface="background") == 0


async def test_a_search_that_found_no_place_is_told_to_come_again_and_is_no_failure_of_opensearch() -> None:
    world = World()
    world.catalogue = CrowdedCatalogue()
    errors = counted("unseen_search_errors_total")
    async with gateway(world) as http:
        answer = await http.post("/search", json=MONITORING)
    assert (answer.status_code, answer.json()["error"], answer.headers["retry-after"]) == (503, "busy", "1")
    assert counted("unseen_search_errors_total") == errors


async def test_a_place_is_waited_for_no_longer_than_was_said() -> None:
    limiter, free = Limiter(1, wait_s=0.02), asyncio.Event()

    async def hold() -> None:
        async with limiter.slot("monitoring"):
            await free.wait()

    holding = asyncio.ensure_future(hold())
    await asyncio.sleep(0)
    with pytest.raises(Busy, match=r"0\.02 s"):
        await hold()
    free.set()
    await holding
    await hold()  # who went away holds no place
    assert limiter.counts == {"monitoring": 2}


async def test_the_gateway_s_own_catalogue_has_such_a_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("agent.serve.assemble.WAIT_S", 0.02)
    parts = assemble(settings_of().model_copy(update={"data_dir": tmp_path}), FakeRewriter())
    assert isinstance(parts.catalogue, Catalogue)
    slot = parts.catalogue.limiter.slot
    async with slot("monitoring"), slot("monitoring"):  # opensearch.background_concurrency
        with pytest.raises(Busy):
            await slot("monitoring").__aenter__()
    assert parts.close is not None
    await parts.close()


async def test_endless_purposes_make_a_bounded_number_of_series() -> None:
    limiter = Limiter(2)
    for n in range(100):
        async with limiter.slot(f"made-up-{n}"):
            pass
    async with limiter.slot("verify"):
        pass
    assert len(limiter.counts) == MOST_OTHERS + 2
    assert limiter.counts[OTHER] == 100 - MOST_OTHERS
    assert limiter.counts["verify"] == 1  # ours keep their names, however late they come
    assert counted("unseen_background_searches_total", purpose="made-up-99") == 0


def test_a_purpose_that_is_held_keeps_its_name() -> None:
    purposes = Purposes()
    first = [purposes.named(f"p{n}") for n in range(MOST_OTHERS + 1)]
    assert first == [f"p{n}" for n in range(MOST_OTHERS)] + [OTHER]
    assert purposes.named("p0") == "p0"


def test_the_purposes_of_our_own_searches_are_all_known() -> None:
    root = Path(agent.__file__).parent
    declared = re.compile(r'^PURPOSE = "(.*)"$', re.MULTILINE)
    found = {name for path in root.rglob("*.py") for name in declared.findall(path.read_text())}
    assert {"verify", "release", "learner", "console"} <= found <= OURS
