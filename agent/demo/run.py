"""`unseen demo`: the whole loop on this machine, watched, judged and cleaned up.

Everything that is started here ends with it: on success, on an error, on Ctrl-C and when it is killed. A
server given by URL is used and left as it was: the run has its own tenant and its own index, which it
removes (unless `--keep`).
"""

import asyncio
import json
import math
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
from redis.asyncio import Redis
from rich.console import Console

from agent.demo import processes, profile, report, watched
from agent.demo.client import Gateway
from agent.demo.measure import Judge, summary
from agent.demo.profile import DemoOptions
from agent.demo.shop import Population, Product, make_shop, never_asked
from agent.demo.stack import Child, Service, Stack, StackError, start_opensearch, start_redis
from agent.demo.timeline import Timeline, events
from agent.demo.traffic import Tally, Traffic
from agent.demo.view import View
from agent.evaluate import exploration
from agent.policy import smollm2
from agent.ports import free_ports
from agent.reporting.command import made_by
from agent.reporting.files import save
from agent.reporting.of_demo import document
from agent.retrieval import Catalogue
from agent.serve.access import what_is_open
from agent.settings import Settings
from agent.weights.registry import Registry
from feedback import vitals
from feedback.clock import wall_clock
from feedback.exploring.spending import read_costs
from feedback.stores import connect, forget

READY_S = 180.0
STOP_S = 5.0
"""That a step of the learner gets to end before the report: what serves is judged, not what comes next."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """What stands after the start-up."""

    settings: Settings
    catalogue: Catalogue
    redis: Redis
    gateway: Gateway
    children: dict[str, Child]
    products: Sequence[Product]
    opensearch: Service


@dataclass(frozen=True, kw_only=True)
class Shopped:
    """What the shoppers did, and what the processes said."""

    tally: Tally
    last: vitals.Vitals
    timeline: Timeline


def run_demo(options: DemoOptions, console: Console) -> dict[str, Any]:
    """Run the demo; return its report.

    Raises:
        StackError: something did not start; the message holds the end of its log.
        KeyboardInterrupt: Ctrl-C, after everything was stopped.
    """
    view = View(console)
    with Stack(options.data_dir) as stack:
        return asyncio.run(_demo(options, stack, view))


async def _demo(options: DemoOptions, stack: Stack, view: View) -> dict[str, Any]:
    async with AsyncExitStack() as cleanup:
        running = await _start(options, stack, view, cleanup)
        seen = await _shop(options, running, view)
        result = await _judge(options, running, view, seen)
        report.show(result, view.console)
        if options.report:
            places = save(options.report, result, document)
            view.console.print(
                f"The report: {places.page}; its figures as JSON: {places.figures}", soft_wrap=True
            )
        if options.keep:
            url = f"http://127.0.0.1:{running.settings.serve.port}"
            admin = f"http://127.0.0.1:{running.settings.serve.admin_port}"
            more = f"its interface: {admin}/docs, its console: {admin}/console/"
            view.console.print(f"Still serving at {url} ({more}). Ctrl-C ends it.", soft_wrap=True)
            await asyncio.Event().wait()
        return result


async def _start(options: DemoOptions, stack: Stack, view: View, cleanup: AsyncExitStack) -> Running:
    run = f"demo-{uuid.uuid4().hex[:8]}"
    with view.step("OpenSearch, Redis, Ray and the language model") as notes:
        opensearch, redis_server, ray = await asyncio.to_thread(_services, options, stack)
        notes += [opensearch.note, redis_server.note]
    tree = profile.settings(
        run=run,
        folder=stack.folder,
        ports=free_ports(2),
        opensearch=opensearch,
        redis=redis_server,
        ray=ray,
    )
    tree["feedback"] |= {"min_clients": options.min_clients}
    tree["metrics"] = watched.ports()
    settings = Settings(**tree)
    view.console.print(f"Open: {what_is_open(settings)}; OpenSearch and Redis too.", soft_wrap=True)
    children = _children(options, stack, tree, ray)
    catalogue = Catalogue(settings.opensearch)
    cleanup.push_async_callback(catalogue.close)
    with view.step("the shop") as notes:
        shop = await asyncio.to_thread(make_shop, options.shop_seed)
        await catalogue.create_index()
        cleanup.push_async_callback(catalogue.drop_index)
        loaded = await catalogue.load(json.dumps(product.document()) for product in shop.products)
        notes.append(f"{loaded.loaded:,} products, shop seed {options.shop_seed}")
    redis = connect(settings.redis.state_url, settings.redis.timeout_s)
    cleanup.push_async_callback(redis.aclose)
    if options.redis:
        cleanup.push_async_callback(_forget, redis, settings.tenant, children)
    gateway = Gateway(f"http://127.0.0.1:{settings.serve.port}")
    cleanup.push_async_callback(gateway.close)
    with view.step(f"gateway, rewriter, {', '.join([*children][1:])}"):
        await _ready(settings, children)
    return Running(
        settings=settings,
        catalogue=catalogue,
        redis=redis,
        gateway=gateway,
        children=children,
        products=shop.products,
        opensearch=opensearch,
    )


def _services(options: DemoOptions, stack: Stack) -> tuple[Service, Service, str]:
    """Start what does not depend on another; return OpenSearch, Redis and Ray's address."""
    began: dict[str, Service] = {}

    def search() -> None:
        began["search"] = start_opensearch(stack.folder, options.opensearch, spawn=stack.spawn)

    def redis() -> None:
        began["redis"] = start_redis(stack.folder, options.redis, spawn=stack.spawn)

    def model() -> None:
        smollm2.folder()

    stack.start(search, redis, model)
    return began["search"], began["redis"], processes.start_ray(stack)


async def _forget(redis: Redis, tenant: str, children: dict[str, Child]) -> None:
    """Take the run's keys out of a Redis that is not ours; its writers end first."""
    await asyncio.gather(*(asyncio.to_thread(child.stop) for child in children.values()))
    await forget(redis, tenant)


def _children(options: DemoOptions, stack: Stack, tree: dict[str, Any], ray: str) -> dict[str, Child]:
    """Start our own processes; return them by name."""
    names = [*processes.NAMES]
    if options.targets:
        watched.write_targets(options.targets, tree)
        names.append("exporter")  # it reads the whole ledger over and over: only for who looks
    return {name: processes.start(stack, name, tree, {"RAY_ADDRESS": ray}) for name in names}


async def _ready(settings: Settings, children: dict[str, Child]) -> None:
    deadline = time.monotonic() + READY_S
    async with httpx.AsyncClient(timeout=2.0) as http:
        while time.monotonic() < deadline:
            for name, child in children.items():
                if not child.running:
                    raise StackError(f"{name} ended at its start:\n{child.tail(40)}")
            try:
                answer = await http.get(f"http://127.0.0.1:{settings.serve.port}/readyz")
                if answer.status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.3)
    raise StackError(f"the gateway was not ready within {READY_S:.0f} s:\n{children['serve'].tail(40)}")


async def _shop(options: DemoOptions, running: Running, view: View) -> Shopped:
    """Let shoppers in until it is time to judge."""
    end = options.minutes * 60 * (1 - profile.REPORT_SHARE)
    shop = make_shop(options.shop_seed)
    traffic = Traffic(running.gateway, Population(shop, options.seed), visits_per_s=profile.VISITS_PER_S)
    stop, timeline = asyncio.Event(), Timeline()
    last = vitals.Vitals()
    shoppers = asyncio.create_task(traffic.run(stop))
    try:
        with view.live():
            while view.elapsed_s < end and not shoppers.done():
                last = await vitals.read(running.redis, running.settings.keys)
                view.show(traffic.tally, last, left_s=end - view.elapsed_s)
                timeline.look(traffic.tally, last, view.elapsed_s)
                await asyncio.sleep(1.0)
                _all_alive(running.children)
    finally:
        stop.set()
        await shoppers
    last = await vitals.read(running.redis, running.settings.keys)
    return Shopped(tally=traffic.tally, last=last, timeline=timeline)


def _all_alive(children: dict[str, Child]) -> None:
    for name, child in children.items():
        if not child.running:
            raise StackError(f"{name} ended while the loop ran:\n{child.tail(40)}")


async def _judge(options: DemoOptions, running: Running, view: View, seen: Shopped) -> dict[str, Any]:
    """Stop learning, judge what serves now, and put the report together."""
    tally, last = seen.tally, seen.last
    learning = (running.children[name] for name in ("learner", "verifier", "release"))
    await asyncio.gather(*(asyncio.to_thread(child.stop, STOP_S) for child in learning))
    queries = never_asked(options.shop_seed, options.seed)[: options.judged]
    titles = {product.product_id: product.title for product in running.products}
    judge = Judge(running.catalogue, running.settings.plan)
    with view.step(f"judging {len(queries)} queries that no shopper asked"):
        judged = await judge.judge(running.gateway, queries, tally.log, titles)
    return summary(judged) | {
        "click_to_weights_s": {
            "median": _known(last.number("learner", "click_to_weights_s_median")),
            "p99": _known(last.number("learner", "click_to_weights_s_p99")),
        },
        "exploration": exploration.figures(
            await read_costs(
                running.redis, running.settings.keys, running.settings.feedback, wall_clock(), days=1
            ),
            days=1,
        ),
        "versions": int(last.number("learner", "version") or 0),
        "serving_version": int(last.number("release", "stable") or 0),
        "rolled_back": int(last.number("release", "versions_revoked") or 0),
        "rollouts_per_s": last.number("learner", "rollouts_per_s") or 0.0,
        "updates": int(last.number("learner", "updates") or 0),
        "verified": int(last.number("verifier", "serving") or 0),
        "requests": tally.requests,
        "clicks": tally.clicks,
        "purchases": tally.purchases,
        "failed": tally.failed,
        "pages": dict(tally.pages),
        "sources": dict(tally.sources),
        "click_through": {
            "raw": tally.click_through(rewritten=False),
            "rewritten": tally.click_through(rewritten=True),
        },
        "seed": options.seed,
        "shop_seed": options.shop_seed,
        "seconds": view.elapsed_s,
        "opensearch": running.opensearch.version,
        "curves": seen.timeline.points,
        "events": events(
            await Registry(running.redis, running.settings.keys).standings(),
            wall_clock() - round(1000 * view.elapsed_s),
        ),
        "run": made_by(options.command),
    }


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
