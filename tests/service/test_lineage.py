"""From a page to what taught its version and back, over rows written by hand on a real Redis."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from typer.testing import CliRunner

from agent.cli import app
from agent.errors import Permanent
from agent.evaluate.lineage import Row, before, chain_of, learned_of, places_of
from agent.evaluate.lineage_telling import Scope, World, of_event, of_page, of_version, opened
from agent.learner.batches import FOLDER, BatchRecord, BatchStore, Ground, GroupRecord, Taught, Written
from agent.settings import Settings
from agent.weights.files import Files
from agent.weights.registry import Registry
from feedback.delivery.entries import PAGE
from feedback.delivery.streams import FIELD
from feedback.evidence.ledger import LedgerRow, day_of
from feedback.records import Action, Arm, Draw, Explored, Impression, Rewrite, Rung
from feedback.settings import RedisSettings
from feedback.stores import connect, forget
from feedback.version_records import Manifest, Window

DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS + DAY_MS // 2
GROUND = Ground(base_model="tiny", prompt_version="v", device="cpu", threads=1, torch="2", cpu="x")


def at(second: int) -> str:
    """Return an id of that second of this noon."""
    return f"{NOW_MS + second * 1000}-0"


def manifest(
    version: int, parent: int, *, steps: int, of: int = 0, line: int = 0, **window: Window
) -> Manifest:
    return Manifest(
        version=version,
        parent=parent,
        of=of,
        base_model="tiny",
        prompt_version="v",
        uri=f"{version}",
        sha256="",
        n_bytes=0,
        made_at_ms=NOW_MS + 99_000,
        steps=steps,
        line=line,
        window={name.removeprefix("p"): one for name, one in window.items()},
    )


def record(
    update: int,
    second: int,
    lists: Mapping[str, tuple[str, ...]],
    *,
    version: int = 0,
    pages: tuple[Explored, ...] = (),
) -> BatchRecord:
    taught = (Taught(text="x", weight=0.5, reward=0.1, found=0),)
    return BatchRecord(
        line=0,
        update=update,
        version=version,
        at_ms=NOW_MS + second * 1000,
        groups=tuple(GroupRecord(query=q, objects=objects, targets=taught) for q, objects in lists.items()),
        pages=pages,
        ground=GROUND,
        settings="{}",
    )


def click(query: str, object_id: str, page: str, event: str, *, version: int = 0, day: int = 0) -> LedgerRow:
    return LedgerRow(
        kind="action",
        client="c",
        fold=0,
        segment="all",
        query=query,
        arm=Arm.STABLE,
        at_ms=NOW_MS - day * DAY_MS,
        object_ids=(object_id,),
        action=Action.CLICK,
        rank=1,
        query_id=page,
        event_id=event,
        version=version,
        rewritten=bool(version),
    )


def page(
    query: str, objects: tuple[str, ...], page_id: str, *, version: int = 0, rewritten: bool = False
) -> LedgerRow:
    return LedgerRow(
        kind="page",
        client="c",
        fold=0,
        segment="all",
        query=query,
        arm=Arm.HOLDBACK,
        at_ms=NOW_MS,
        object_ids=objects,
        query_id=page_id,
        version=version,
        rewritten=rewritten or bool(version),
    )


class Shop:
    """A tenant whose ledger, registry and records are written by hand."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis, self.settings = redis, settings
        self.registry = Registry(redis, settings.keys)
        self.records = BatchStore(Files(settings.weights_dir), 100)

    async def add(self, arrived: str, row: LedgerRow, *, partition: int = 0) -> None:
        stream = self.settings.keys.ledger(partition, day_of(row.at_ms))
        await self.redis.xadd(stream, {FIELD: msgspec.json.encode(row)}, id=arrived)

    async def made(self) -> None:
        """Two versions: the first by steps 1 and 2, the second by step 3; a click in each window."""
        await self.add(at(1), page("couch", ("sofa", "lamp"), "00-a"))
        await self.add(at(2), click("couch", "sofa", "00-a", "e1", day=1))
        await self.add(at(3), click("couch", "stool", "00-a", "e2"))  # in no list
        await self.add(at(4), click("mat", "mat1", "00-b", "e3"))  # no step asked for it any more
        await self.add(at(12), click("couch", "sofa", "00-c", "e4", version=1))
        await self.add(at(30), click("couch", "sofa", "00-d", "e5"))  # after both
        for one in (
            record(1, 3, {"mat": ("mat1",), "couch": ("sofa", "lamp")}),
            record(2, 8, {"couch": ("sofa",)}),
            record(3, 15, {"couch": ("sofa",)}, version=1),
        ):
            self.records.write(one)
        first = Window(first=at(1), last=at(4), rows=4)
        second = Window(first=at(12), last=at(12), rows=1)
        await self.registry.publish(manifest(1, 0, steps=2, p0=first, p1=Window()))
        await self.registry.publish(manifest(2, 1, steps=3, p0=second, p1=Window()))

    async def world(self) -> World:
        async with opened(self.settings, lambda: NOW_MS) as world:
            return World(
                **{**{n: getattr(world, n) for n in world.__dataclass_fields__}, "redis": self.redis}
            )


def settings_at(redis_url: str, tenant: str, folder: Path) -> Settings:
    redis = RedisSettings(state_url=redis_url, partitions=2)
    return Settings(tenant=tenant, data_dir=folder, redis=redis)


@pytest_asyncio.fixture(name="shop")
async def _shop(redis_url: str, tenant: str, tmp_path: Path) -> AsyncIterator[Shop]:
    redis = connect(redis_url)
    yield Shop(redis, settings_at(redis_url, tenant, tmp_path))
    await forget(redis, tenant)
    await redis.aclose()


def ids(told: Mapping[str, Any]) -> list[str]:
    return [one["event_id"] for one in told["events"]]


async def test_a_version_was_moved_by_rows_of_its_window_that_a_later_step_had_in_its_lists(
    shop: Shop,
) -> None:
    await shop.made()
    told = await of_version(await shop.world(), 1, Scope())
    assert ids(told) == ["e1"]  # not e2: in no list; not e3: its step came before the click
    assert told["rows"] == [
        {"arm": "holdback", "kind": "page", "n": 1},
        {"arm": "stable", "kind": "click", "n": 1},
    ]
    assert told["queries"] == [
        {"query": "couch", "weight": 1.0, "groups": 2},
        {"query": "mat", "weight": 0.5, "groups": 1},
    ]
    assert (told["parents"], told["steps"]) == ([], {"in_all": 2, "since_parent": 2, "kept": 2})
    assert told["gone"] == []


async def test_with_its_chain_the_newest_event_comes_first_and_more_than_asked_are_only_counted(
    shop: Shop,
) -> None:
    await shop.made()
    world = await shop.world()
    assert ids(await of_version(world, 2, Scope())) == ["e4"]
    told = await of_version(world, 2, Scope(chain=True))
    assert [(one["event_id"], one["taught"]) for one in told["events"]] == [("e4", [2]), ("e1", [2, 1])]
    told = await of_version(world, 2, Scope(chain=True, most=1))
    assert ids(told) == ["e4"]
    assert sum(one["n"] for one in told["rows"]) == 3


async def test_an_event_names_the_versions_that_it_taught_and_whether_it_was_new(shop: Shop) -> None:
    await shop.made()
    world = await shop.world()
    told = await of_event(world, event_id="e1")
    (row,) = told["rows"]
    assert [(one["version"], one["in_window"], one["groups"]) for one in row["taught"]] == [
        (1, True, 2),
        (2, False, 1),
    ]
    assert told["gone"] == []
    assert [len(row["taught"]) for row in (await of_event(world, event_id="e5"))["rows"]] == [0]
    (row,) = (await of_event(world, query_id="00-a", object_id="lamp"))["rows"]
    assert (row["kind"], [one["version"] for one in row["taught"]]) == ("page", [1])  # passed over
    (row,) = (await of_event(world, query_id="00-a", object_id="stool"))["rows"]
    assert (row["event_id"], row["taught"]) == ("e2", [])


async def test_a_page_is_followed_to_the_version_that_made_it_and_on_to_its_events(shop: Shop) -> None:
    await shop.made()
    await shop.add(at(40), page("couch", ("sofa",), "00-c", version=1))
    told = await of_page(await shop.world(), "00-c", Scope())
    assert told["page"]["version"] == 1
    assert ids(told) == ["e4"]
    assert ids(told["version"]) == ["e1"]
    assert told["by"]["why"] == "version 1 of the policy wrote its words"


async def test_a_page_that_no_version_made_says_whose_the_words_were(shop: Shop) -> None:
    await shop.add(at(1), page("couch", ("sofa",), "00-a", rewritten=True))
    await shop.add(at(2), page("couch", ("sofa",), "00-b"))
    told = await of_page(await shop.world(), "00-a", Scope())
    assert (told["version"], told["by"]["why"][:37]) == (None, "words that no learned version wrote: ")
    assert (await of_page(await shop.world(), "00-b", Scope()))["by"]["why"] == "the shop's own query"
    for rung, why in ((Rung.VERIFIED, "the query's own verdict"), (Rung.NEAREST, "a loan")):
        shown = Impression(
            query_id="00-a",
            user_query="couch",
            client_id="c",
            shown_at_ms=NOW_MS,
            arm=Arm.STABLE,
            rung=rung,
            source=rung.value,
            rewrite=Rewrite(text="grey sofa"),
            object_ids=("sofa",),
        )
        key = shop.settings.keys.join(0, "00-a")
        await shop.redis.hset(key, PAGE.decode(), msgspec.json.encode(shown))
        by = (await of_page(await shop.world(), "00-a", Scope()))["by"]
        assert (by["text"], by["why"].startswith(why)) == ("grey sofa", True)


async def test_what_is_past_retention_is_named_with_what_bounds_it(shop: Shop) -> None:
    await shop.made()
    files = Files(shop.settings.weights_dir)
    files.delete(sorted(files.names(FOLDER))[:1])
    await shop.redis.delete(shop.settings.keys.ledger(0, day_of(NOW_MS - DAY_MS)))
    world = await shop.world()
    told = await of_version(world, 1, Scope())
    assert told["events"] == []
    assert told["gone"] == [
        "1 of the 2 steps of version 1: learner.keep_batches = 2000",
        "1 of 4 ledger rows of the windows: feedback.ledger_days = 180, or a client forgotten",
    ]
    assert (await of_event(world, event_id="e1"))["gone"][0].startswith("the ledger has no row of it")
    assert (await of_page(world, "00-zz", Scope()))["gone"][0].startswith("the ledger has no row of it")
    assert (await of_page(world, "no id of ours", Scope()))["by"]["why"] == "not known any more"
    with pytest.raises(Permanent, match="keep_versions = 20"):
        await of_version(world, 7, Scope())


async def test_a_version_whose_parent_is_gone_keeps_the_steps_that_name_it(shop: Shop) -> None:
    await shop.made()
    await shop.registry.drop([1])
    await shop.add(at(40), page("couch", ("sofa",), "00-e", version=1))
    world = await shop.world()
    told = await of_version(world, 2, Scope(chain=True))
    assert (told["steps"], ids(told)) == ({"in_all": 3, "since_parent": None, "kept": 1}, ["e4"])
    assert told["gone"][0].startswith(
        "version 1, from which the oldest of these was learned: release.keep_ver"
    )
    gone = (await of_page(world, "00-e", Scope()))["gone"]
    assert gone == ["version 1, which made it: release.keep_versions = 20"]


def test_an_older_version_under_a_new_number_is_told_by_the_older_one() -> None:
    first, second = manifest(1, 0, steps=2), manifest(2, 1, steps=4)
    back, third = manifest(3, 1, steps=2, of=1), manifest(4, 3, steps=4, line=1)
    known = {one.version: one for one in (first, second, back, third)}
    chain, lost = chain_of(third, known)
    assert ([one.version for one in chain], lost) == ([4, 1], 0)
    del known[1]
    assert ([one.version for one in chain_of(third, known)[0]], chain_of(third, known)[1]) == ([4, 3], 1)


def test_after_going_back_a_step_is_of_the_newest_line_that_has_it() -> None:
    first, third = manifest(1, 0, steps=2), manifest(4, 1, steps=5, line=1)
    kept = [(0, 2), (0, 3), (0, 4), (1, 4), (1, 5), (2, 4), (1, 6)]
    assert places_of(third, first, kept) == [(1, 5), (1, 4), (0, 3)]


def test_a_page_of_the_explore_arm_that_taught_by_itself_counts_whatever_it_found() -> None:
    drawn = Explored(
        query_id="00-x",
        query="couch",
        client="c",
        shown_at_ms=0,
        draw=Draw(choices=(), taken=0),
        rewrite=Rewrite(text="sofa"),
        interleaved=True,
        preference=1.0,
        clicks=1,
    )
    one = manifest(1, 0, steps=1, p0=Window(first=at(0), last=at(50), rows=9))
    learned = learned_of(one, 1, [record(1, 10, {}, pages=(drawn,))])
    row = click("couch", "sofa", "00-x", "e")
    assert learned.taught_by(Row(partition=0, entry_id=at(10), row=row))
    assert not learned.taught_by(Row(partition=0, entry_id=at(11), row=row))  # after the step
    assert not learned.taught_by(Row(partition=1, entry_id=at(10), row=row))  # no window there


def test_a_group_weighs_as_its_advantages_and_its_verified_rewrites() -> None:
    own = tuple(
        Written(text=str(i), token_ids=(), token_logprobs=(), reward=reward, gain=0, found=0)
        for i, reward in enumerate((0.3, 0.0, 0.0))
    )
    group = GroupRecord(query="couch", own=own, targets=(Taught(text="x", weight=0.5, reward=0, found=0),))
    learned = learned_of(
        manifest(1, 0, steps=1), 1, [msgspec.structs.replace(record(1, 1, {}), groups=(group,))]
    )
    assert learned.weights["couch"] == pytest.approx((0.3 + 0.15 + 0.15) / 3 + 0.5)


SECONDS = st.integers(0, 20)
ROWS = st.lists(st.tuples(SECONDS, st.sampled_from("ab"), st.sampled_from("xyz")), max_size=12)
STEPS = st.lists(st.tuples(SECONDS, st.sampled_from("ab"), st.sets(st.sampled_from("xyz"))), max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, steps=STEPS, cuts=st.lists(SECONDS, min_size=2, max_size=2, unique=True))
def test_both_directions_agree(
    rows: list[tuple[int, str, str]],
    steps: list[tuple[int, str, set[str]]],
    cuts: list[int],
    redis_url: str,
    tenant: str,
    tmp_path: Path,
) -> None:
    """A version is told of a row exactly where the row is told of it, or, with its chain, of one of it."""

    async def check() -> None:
        redis = connect(redis_url)
        shop = Shop(redis, settings_at(redis_url, tenant, tmp_path))
        await forget(redis, tenant)
        shop.records.drop_after((0, 0))
        for n, (second, query, object_id) in enumerate(sorted(rows)):
            entry_id = f"{NOW_MS + second * 1000}-{n + 1}"
            await shop.add(entry_id, click(query, object_id, f"00-{n}", f"e{n}"))
        for n, (second, query, objects) in enumerate(sorted(steps, key=lambda one: one[0]), start=1):
            shop.records.write(record(n, second, {query: tuple(objects)}))
        await publish(shop, sorted(rows), sorted(second for second, _, _ in steps), sorted(cuts))
        world = await shop.world()
        taught = {}
        for n in range(len(rows)):
            (row,) = (await of_event(world, event_id=f"e{n}"))["rows"]
            taught[f"e{n}"] = {one["version"]: one["in_window"] for one in row["taught"]}
        for version, chain in ((1, {1}), (2, {2, 1})):
            fresh = {event for event, versions in taught.items() if versions.get(version)}
            assert set(ids(await of_version(world, version, Scope(most=99)))) == fresh
            told = set(ids(await of_version(world, version, Scope(most=99, chain=True))))
            window = {event for event, versions in taught.items() if chain & versions.keys()}
            assert told == {event for event in window if _second(rows, event) <= sorted(cuts)[version - 1]}
        await redis.aclose()

    asyncio.run(check())


def _second(rows: list[tuple[int, str, str]], event: str) -> int:
    return sorted(rows)[int(event[1:])][0]


async def publish(shop: Shop, rows: list[tuple[int, str, str]], steps: list[int], cuts: list[int]) -> None:
    """Make two versions: all that came up to the first second, and up to the second one."""
    begun, after = 0, -1
    for version, cut in enumerate(cuts, start=1):
        own = [n for n, (second, _, _) in enumerate(rows, start=1) if after < second <= cut]
        names = [f"{NOW_MS + rows[n - 1][0] * 1000}-{n}" for n in own]
        window = Window(first=names[0], last=names[-1], rows=len(names)) if names else Window(last=at(after))
        begun = sum(second <= cut for second in steps)
        await shop.registry.publish(manifest(version, version - 1, steps=begun, p0=window))
        after = cut


def test_the_command_prints_one_object_and_refuses_two_questions(
    redis_url: str, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("REDIS__STATE_URL", redis_url), ("TENANT", tenant), ("DATA_DIR", str(tmp_path))):
        monkeypatch.setenv(f"UNSEEN_{name}", value)
    told = CliRunner().invoke(app, ["lineage", "--event-id", "e1", "--json"])
    assert json.loads(told.stdout)["rows"] == []
    assert "not kept" in CliRunner().invoke(app, ["lineage", "--query-id", "00-a"]).stdout
    assert CliRunner().invoke(app, ["lineage"]).exit_code == 2
    assert CliRunner().invoke(app, ["lineage", "--version", "1", "--query-id", "00-a"]).exit_code == 2
    assert CliRunner().invoke(app, ["lineage", "--event-id", "e", "--object-id", "o"]).exit_code == 2


def test_the_id_before_another_leaves_none_out() -> None:
    assert before("5-3") == "5-2"
    assert before("5-0") == f"4-{2**64 - 1}"
