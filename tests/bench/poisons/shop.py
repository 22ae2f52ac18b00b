"""A shop with evidence, and what a misled learner would be taught in it."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.demo import profile
from agent.demo.shop import Population, make_shop
from agent.demo.stack import Service
from agent.policy.prompt import Prompt
from agent.scoring import prompt_for, rewards, snapshot
from agent.settings import Settings
from feedback.evidence.clusters import Clusters
from feedback.evidence.reading import ShopTotals
from feedback.text import bucket
from tests.bench.poisons.making import PRAISE, STUFFING, Teaching
from tests.service.virtual_shop import VirtualShop

TRIED = 12
"""Words tried for each query, to find its worst one."""


def settings_of(
    tenant: str, folder: Path, services: Sequence[Service], given: argparse.Namespace
) -> Settings:
    """Return the default settings of release on a demo shop; the gate judges by all evidence."""
    redis, opensearch = services
    tree = profile.settings(
        run=tenant, folder=folder, ports=(0, 0), opensearch=opensearch, redis=redis, ray=""
    )
    tree["release"] = {"gate_clicks": 0, "gate_queries": given.queries}
    tree["policy"] = {"model": given.model}
    tree["serve"] |= {"poll_s": given.poll}
    return Settings.model_validate(tree)


async def open_shop(world: VirtualShop, shop_seed: int, seconds: float) -> None:
    """Let shoppers in."""
    await world.open_for(seconds, Population(make_shop(shop_seed), 0))


async def teachings(world: VirtualShop) -> dict[str, Teaching]:
    """Return what each kind of misled learner imitates, and what a healthy one does."""
    settings, index = world.settings, world.parts.known.index
    clusters = Clusters(settings.learner.held_back_share)
    asked = [query for query, _ in await world.evidence.popular(400)]
    queries = [query for query in asked if not clusters.held_back(query)]
    prompts = [prompt_for(query, index, settings) for query in queries]
    verdicts = {query: index.get(query) for query in queries}
    verified = {q: one.text for q, one in verdicts.items() if one is not None and one.settled}
    words = sorted({word for product in world.products for word in product.title.lower().split()})
    bought = _title_words(world)
    everywhere: dict[str, Mapping[str, str]] = {
        "stuffed": dict.fromkeys(queries, STUFFING),
        "praise": dict.fromkeys(queries, PRAISE),
        "constant": dict.fromkeys(queries, "black"),
        "bot_clicks": dict.fromkeys(queries, bought),
        "sign_flipped": await _worst(world, queries, words, await world.evidence.totals()),
        "healthy": verified,
    }
    return {kind: Teaching(prompts=_of(prompts, texts), texts=texts) for kind, texts in everywhere.items()}


def _of(prompts: Sequence[Prompt], texts: Mapping[str, str]) -> list[Prompt]:
    return [prompt for prompt in prompts if prompt.query in texts]


def _title_words(world: VirtualShop) -> str:
    """Return words of the title of the object that bots click for every query."""
    return " ".join(world.products[7].title.lower().split()[:3])


async def _worst(
    world: VirtualShop, queries: Sequence[str], words: Sequence[str], totals: ShopTotals
) -> dict[str, str]:
    """Return for each query the word that costs most: what a reward of the wrong sign likes best."""
    frozen = await snapshot(world.evidence, queries, totals, world.settings)
    groups = {query: [words[bucket(f"{query}|{i}", len(words))] for i in range(TRIED)] for query in queries}
    scored = await rewards(world.pages, groups, frozen, world.settings, purpose="release")
    worst = {q: min(zip(scored[q], texts, strict=True)) for q, texts in groups.items()}
    return {query: text for query, (reward, text) in worst.items() if reward < 0}
