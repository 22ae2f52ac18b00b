"""Attacks on the shop: all with valid tokens of real searches, unless tokens are what they steal.

A band has a budget of clicks, clients and network prefixes. What it wants is stated in each attack; all know
the shop's pages as any visitor does.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from feedback.records import Event, Impression
from tests.service.attacked_crowd import DAY_MS, START_MS, Crowd, Record, event_of, page_of, when
from tests.service.attacked_shop import A_CATEGORY, CATEGORIES, Intent


@dataclass(frozen=True, kw_only=True)
class Band:
    """What an attacker has for one day."""

    clients: int
    networks: int
    clicks: int
    seed: int

    def name(self, n: int) -> str:
        """Return a client's id; nothing in it or in its digest tells."""
        return f"visitor-{self.seed}-{n}"

    def network(self, n: int) -> str:
        """Return the prefix of a client."""
        return f"net-{self.seed}-{n % self.networks}"


class Attack:
    """One band's doings on one shop."""

    def __init__(self, crowd: Crowd, band: Band) -> None:
        self.crowd = crowd
        self.band = band
        self.rng = random.Random(f"attack {band.seed}")
        popular = crowd.world.intents[: CATEGORIES * A_CATEGORY]
        weights = [1 / (n // A_CATEGORY + 2) / (n % A_CATEGORY + 1.5) for n in range(len(popular))]
        helped = [n for n, one in enumerate(popular) if one.needs_help]
        self.order = [popular[n] for n in sorted(helped, key=lambda n: -weights[n])]
        """Intents that gain by a rewrite, the most asked first."""
        self._session = 0

    def targets(self) -> list[Intent]:
        """Return whom the budget hits hardest: each client clicks each of them once a day."""
        n = max(3, self.band.clicks // max(1, self.band.clients))
        return self.order[5 : 5 + n]  # the few most asked would need more clicks than a band has

    def page(self, n: int, query: str, at_ms: int, session: str = "") -> Impression:
        """Return a raw page that a client of the band asked for."""
        self._session += 1
        name = session or f"a{self.band.seed}-{self._session}"
        return page_of(self.crowd, self.band.name(n), self.band.network(n), query, at_ms, session=name)

    def moment(self, day: int) -> int:
        """Return a time of the day."""
        return START_MS + day * DAY_MS + int(self.rng.uniform(0.02, 0.96) * DAY_MS)

    def click(self, page: Impression, object_id: str, after_ms: int = 8000) -> Event:
        """Return a click on a page."""
        event_id = f"{page.query_id}:{object_id}:{after_ms}"
        return event_of(page, object_id, page.shown_at_ms + after_ms, event_id)


def flooding(attack: Attack, day: int, _: Sequence[Record]) -> Iterator[Record]:
    """Click the brand's objects over and over, by a tenth of the clients."""
    clients = max(1, attack.band.clients // 10)
    for n in range(attack.band.clicks):
        target = attack.rng.choice(attack.targets())
        page = attack.page(n % clients, target.spoken, attack.moment(day))
        yield page
        yield attack.click(page, target.junk[0], 700)


def ring(attack: Attack, day: int, _: Sequence[Record]) -> Iterator[Record]:
    """Let every client click the brand's object of every target once a day."""
    targets, left = attack.targets(), attack.band.clicks
    for target in targets:
        for n in range(attack.band.clients):
            if left > 0:
                left -= 1
                page = attack.page(n, target.spoken, attack.moment(day))
                yield page
                yield attack.click(page, target.junk[0])


def drip(attack: Attack, day: int, _: Sequence[Record]) -> Iterator[Record]:
    """Click as others do half of the time, else the brand's object of some of many targets, once a day."""
    targets = attack.order[5 : 5 + 2 * len(attack.targets())]
    each = attack.band.clicks // max(1, attack.band.clients)
    for n in range(attack.band.clients):
        chosen = attack.rng.sample(targets, min(len(targets), max(1, each // 2)))
        for target in chosen:
            page = attack.page(n, target.spoken, attack.moment(day))
            yield page
            yield attack.click(page, target.junk[0], attack.rng.randrange(4000, 40_000))
        for _other in range(each - len(chosen)):
            need = attack.rng.choice(attack.crowd.world.intents[: CATEGORIES * A_CATEGORY])
            page = attack.page(n, need.spoken, attack.moment(day))
            yield page
            best = max(page.object_ids, key=partial(_worth, need))
            yield attack.click(page, best, attack.rng.randrange(4000, 40_000))


def seeding(attack: Attack, day: int, _: Sequence[Record]) -> Iterator[Record]:
    """Ask the target, find nothing, ask again with the brand's word, click its objects there."""
    left = attack.band.clicks
    for target in attack.targets():
        for n in range(attack.band.clients):
            if left <= 0:
                return
            at_ms, session = attack.moment(day), f"k{attack.band.seed}-{day}-{n}-{target.number}"
            yield attack.page(n, target.spoken, at_ms, session)
            again = attack.page(n, f"{target.spoken} {target.brand}", at_ms + 20_000, session)
            yield again
            for place, object_id in enumerate(again.object_ids[: len(target.junk)]):
                left -= 1
                yield attack.click(again, object_id, 6000 + 4000 * place)


def replay(attack: Attack, day: int, honest: Sequence[Record]) -> Iterator[Record]:
    """Click the brand's objects on pages of others, whose tokens leaked, and send each click three times."""
    by_word = {target.spoken: target for target in attack.targets()}
    pages = [p for p in honest if isinstance(p, Impression) and p.user_query in by_word]
    for n in range(attack.band.clicks // 3):
        page = attack.rng.choice(pages)
        target = by_word[page.user_query]
        if target.junk[0] in page.object_ids:
            stolen = msgspec.structs.replace(page, client_id=attack.band.name(n % attack.band.clients))
            for again in range(3):
                yield attack.click(stolen, target.junk[0], 9000 + 1000 * again)


def down(attack: Attack, day: int, _: Sequence[Record]) -> Iterator[Record]:
    """Look at pages and click what nobody wants, first of all, never what a rewrite would bring up."""
    left = attack.band.clicks
    for target in attack.targets():
        for n in range(attack.band.clients):
            page = attack.page(n, target.spoken, attack.moment(day))
            yield page
            rivals = [d for d in page.object_ids if target.worth.get(d, 0) < 0.1][:2]
            for object_id in rivals if left > 0 else []:
                left -= 1
                yield attack.click(page, object_id, 5000 + 3000 * rivals.index(object_id))


def _worth(need: Intent, object_id: str) -> float:
    return need.worth.get(object_id, 0.0)


Doing = Callable[[Attack, int, Sequence[Record]], Iterator[Record]]
ATTACKS: dict[str, Doing] = {
    "flooding": flooding,
    "ring": ring,
    "drip": drip,
    "seeding": seeding,
    "replay": replay,
    "down": down,
}


def day_of(attack: Attack, doing: Doing, day: int, honest: Sequence[Record]) -> list[Record]:
    """Return an attack's records of a day in the order of their times."""
    return sorted(doing(attack, day, honest), key=when)
