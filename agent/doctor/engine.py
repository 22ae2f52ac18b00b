"""OpenSearch: reachable, of a version that is known to work, the index and what searches it."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from agent.doctor.check import Check, failed, ok, skipped, warning
from agent.doctor.clocks import judge_clock
from agent.doctor.looking import LIMIT_S, Look, bounded, look_all
from agent.errors import Permanent, SearchFailed
from agent.retrieval import Catalogue
from agent.retrieval.inspecting import Inspector, Product
from agent.retrieval.templates import DEFAULT, Templates
from agent.sections import OpenSearchSettings
from feedback.clock import wall_clock

T = TypeVar("T")
NAME, INDEX, FIT, UBI = "opensearch", "index", "fields", "ubi plugin"
REST = ("opensearch health", INDEX, FIT, UBI, "opensearch clock")
KNOWN_MAJOR = 3
TRIED = "3.4"
UBI_PLUGIN = "opensearch-ubi"
REACH = "start it, or set opensearch.url (https://user:password@host:9200 where it wants a login)"
LOOK_AT = "look at OpenSearch's own log"


async def look_at_engine(settings: OpenSearchSettings, slack_s: float) -> list[Check]:
    """Look at it; where it gives no answer, at nothing more. ``slack_s``: clocks may differ so much."""
    hasty = settings.model_copy(update={"timeout_s": min(settings.timeout_s, LIMIT_S)})
    async with Inspector(hasty) as front:
        found = await bounded(Look(name=NAME, at=_product(front, NAME, hasty.url), do=REACH))
        if found[0].state == "failed":
            return [*found, *(skipped(name, "opensearch is away") for name in REST)]
        looks = [
            Look(name=REST[0], at=_ones(front.health, judge_health), do=LOOK_AT),
            Look(name=INDEX, at=_ones(front.documents, lambda n: judge_index(hasty.index, n)), do=LOOK_AT),
            Look(name=FIT, at=lambda: look_at_fit(front, hasty), do=LOOK_AT),
            Look(name=UBI, at=lambda: look_at_plugins(front), do=LOOK_AT),
            Look(name=REST[4], at=lambda: look_at_clocks(front, slack_s), do=LOOK_AT),
            *_background(hasty),
        ]
        return found + await look_all(looks)


def _background(settings: OpenSearchSettings) -> list[Look]:
    """Return the look at a second URL, where there is one."""
    name, url = "opensearch.background_url", settings.background_url
    if not url or url == settings.url:
        return []

    async def look() -> Sequence[Check]:
        async with Inspector(settings, url) as back:
            return await _product(back, name, url)()

    return [Look(name=name, at=look, do="start it, or set it to what the verifier and the learner may load")]


def _product(asks: Inspector, name: str, url: str) -> Callable[[], Awaitable[Sequence[Check]]]:
    async def look() -> Sequence[Check]:
        try:
            return [judge_product(name, await asks.product())]
        except SearchFailed as error:
            return [failed(name, f"{_bare(url)}: {_once(error)}", REACH)]

    return look


def _ones(
    ask: Callable[[], Awaitable[T]], judge: Callable[[T], Check]
) -> Callable[[], Awaitable[list[Check]]]:
    async def look() -> list[Check]:
        return [judge(await ask())]

    return look


def judge_product(name: str, found: Product) -> Check:
    """Say whether it is an OpenSearch that Unseen is tried with."""
    told = f"{found.distribution or 'unknown product'} {found.version}"
    if found.distribution != "opensearch":
        return warning(name, told, f"Unseen is tried with OpenSearch {TRIED} alone")
    if found.version.partition(".")[0] != str(KNOWN_MAJOR):
        return warning(name, told, f"Unseen is tried with OpenSearch {TRIED}: try `unseen templates` first")
    return ok(name, told)


def judge_health(found: tuple[str, int]) -> Check:
    """Say whether all shards answer."""
    status, unassigned = found
    told = f"{status}, {unassigned} shards not assigned" if unassigned else status
    if status == "red":
        return failed(REST[0], told, "a part of the index answers nothing: GET _cluster/allocation/explain")
    if status == "yellow":
        do = "a replica has no node: one more node, or number_of_replicas 0 where one is all there is"
        return warning(REST[0], told, do)
    return ok(REST[0], told)


def judge_index(index: str, n: int | None) -> Check:
    """Say whether there is anything to search."""
    if n is None:
        return failed(INDEX, f"there is no index {index}", "make and fill it, or set opensearch.index")
    if n == 0:
        return warning(INDEX, f"{index} is empty", "fill it: there is nothing to find and nothing to learn")
    return ok(INDEX, f"{index}, {n:,} documents")


async def look_at_fit(asks: Inspector, settings: OpenSearchSettings) -> list[Check]:
    """Hold the templates, and the built-in clause where no template takes its place, against the index."""
    try:
        templates = Templates(settings)
    except Permanent as error:
        return [failed(FIT, str(error), "see agent/retrieval/README.md; `unseen templates` looks again")]
    if await asks.documents() is None:
        return [skipped(FIT, f"there is no index {settings.index}")]
    found = []
    if not any(one.is_shops and one.name == DEFAULT for one in templates):
        found.append(judge_fields(settings.fields, await asks.fields()))
    if any(one.is_shops for one in templates):
        async with Catalogue(settings) as catalogue:
            found.append(judge_templates([one.name for one in templates], await catalogue.faults()))
    return found


def judge_fields(wanted: Sequence[str], known: Collection[str]) -> Check:
    """Say which fields of the built-in clause the index lacks: OpenSearch finds nothing in them, silently."""
    names = [field.partition("^")[0] for field in wanted]
    lacking = [name for name in names if not matches(name, known)]
    do = "set opensearch.fields to those that shoppers' words are searched in, or write a search template"
    if len(lacking) == len(names):
        return failed(FIT, f"the index has none of {', '.join(names)}", do)
    if lacking:
        return warning(FIT, f"the index has no {', '.join(lacking)}: nothing is found there", do)
    return ok(FIT, f"the index has {', '.join(names)}")


def matches(name: str, known: Collection[str]) -> bool:
    """Tell whether a name, which may hold ``*``, names a field."""
    return any(fnmatchcase(one, name) for one in known)


def judge_templates(names: Sequence[str], faults: Sequence[str]) -> Check:
    """Say whether the shop's templates fit the index."""
    if faults:
        more = f"; {len(faults) - 1} more" if faults[1:] else ""
        return failed(
            "templates", f"{faults[0]}{more}", "`unseen templates` shows all; the gateway does not start"
        )
    return ok("templates", f"{', '.join(names)} fit the index")


async def look_at_plugins(asks: Inspector) -> list[Check]:
    """Look for the UBI plugin, which is not needed."""
    try:
        there = UBI_PLUGIN in await asks.plugins()
    except SearchFailed as error:
        return [skipped(UBI, f"plugins are not told: {str(error)[:100]}")]
    return [
        ok(
            UBI,
            "installed" if there else "not installed, and not needed: `unseen export ubi` makes the indices",
        )
    ]


async def look_at_clocks(asks: Inspector, slack_s: float) -> list[Check]:
    """Compare each node's clock with ours; OpenSearch's answers carry no Date header."""
    before = wall_clock()
    try:
        clocks = await asks.clocks_ms()
    except (SearchFailed, KeyError) as error:
        return [skipped(REST[4], f"times of the nodes are not told: {str(error)[:100]}")]
    after = wall_clock()
    offsets = [_outside(clock, before, after) / 1000 for clock in clocks]
    return [judge_clock(REST[4], max(offsets, key=abs, default=0.0), slack_s)]


def _outside(clock_ms: int, before_ms: int, after_ms: int) -> int:
    """Return how far a time is from those between which it was told; 0: it is between them."""
    return min(0, clock_ms - before_ms) or max(0, clock_ms - after_ms)


def _bare(url: str) -> str:
    """Return a URL without its login."""
    head, at, rest = url.rpartition("@")
    return f"{head.partition('://')[0]}://{rest}" if at else url


def _once(error: SearchFailed) -> str:
    """Return what went wrong; the client tells a cause twice."""
    return str(error).partition(" caused by:")[0]
