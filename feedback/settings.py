"""Settings of the event path: frozen sections, each handed to the constructor that needs it."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from feedback.examination.curve import FLOOR, Choice
from feedback.records import Action


class Section(BaseModel):
    """A frozen part of the settings; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class RedisSettings(Section):
    """Where the state and the cache are."""

    state_url: str = "redis://127.0.0.1:6379/0"
    """Streams, evidence, verdicts, registry: no eviction (``maxmemory-policy noeviction``)."""
    cache_url: str = ""
    """Cached rewrites (TTL, LRU); empty: the state's server."""
    partitions: int = Field(8, ge=1, le=99)
    """Of streams, dedupe, join and evidence; fixed for the life of the data."""
    timeout_s: float = Field(2.0, gt=0)
    """Of one command."""


class ActionWeight(Section):
    """How much a thing that a shopper did counts as attraction, relative to a click."""

    click: float = Field(1.0, ge=0)
    add_to_cart: float = Field(2.0, ge=0)
    purchase: float = Field(3.0, ge=0)
    value: float = Field(0.0, ge=0)
    """Added for each unit of currency (100 minor units) that a purchase was worth; 0: all count alike."""
    most_value_minor: int = Field(100_000, ge=0)
    """Value of one purchase that counts at most, in minor units of the currency: dear objects are bought
    seldom, and one of them would decide for all."""


ACTION_NAMES: dict[str, Action] = {
    "click": Action.CLICK,
    "click_through": Action.CLICK,
    "add_to_cart": Action.ADD_TO_CART,
    "cart": Action.ADD_TO_CART,
    "purchase": Action.PURCHASE,
    "order": Action.PURCHASE,
    "buy": Action.PURCHASE,
    "view": Action.VIEW,
    "impression": Action.VIEW,
    "return": Action.RETURN,
    "refund": Action.RETURN,
    "cancel": Action.RETURN,
    "cancellation": Action.RETURN,
}


class GuardSettings(Section):
    """Who may teach: what is more than one person does, or several agree on more than chance has it."""

    enabled: bool = True
    """False: every record that can be joined teaches, whoever sent it."""
    once_s: float = Field(86_400, ge=1)
    """Within it a client's pages of one query count each object's examination once, and each action on it
    once: a day, in which a need is the same need."""
    page_clicks: int = Field(6, ge=1)
    """Objects of one page that a client's clicks count for: who compares opens some, a script all."""
    clicks_an_hour: int = Field(90, ge=1)
    """Of a client: one click in 40 s for an hour is a buyer at work; more is none."""
    clicks_a_day: int = Field(300, ge=1)
    """Of a client: about three such hours."""
    pages_a_minute: int = Field(20, ge=1)
    """Of a client: a page in 3 s for a minute is not read."""
    burst_pages: int = Field(3, ge=1)
    """Pages of a client on which it may click within ``burst_s``: senders that lay several events together
    give them one time, so that one page, or two open ones, say nothing."""
    burst_s: float = Field(1.0, gt=0)
    """Nobody finds what to click on a further page so fast."""
    dwell_s: float = Field(0.0, ge=0)
    """After its page was shown, before which nobody has read it: a click so soon does not count. 0: all do;
    set it where events carry the shopper's own times (.2 is a reflex)."""
    early_s: float = Field(300, ge=0)
    """Before its page was shown by more than this, which clocks explain, nobody clicked."""
    queries_an_object: int = Field(5, ge=1)
    """Queries of a client within a day under which its clicks on one object count: more is a campaign."""
    network_pages: int = Field(5, ge=1)
    """Pages of a query in a day that any network prefix has: a family, an office's few. A client's first."""
    network_factor: float = Field(3.0, ge=1)
    """Beyond these, how many times its share of all pages a prefix may have of one query's: carriers and
    offices ask what all ask, a bought prefix one thing."""
    rings_every_s: float = Field(600, gt=0)
    """How often groups that click as one are looked for; what they taught till then is taken out."""
    ring_rows: int = Field(200_000, ge=1000)
    """Of the ledger, the newest, in which they are looked for: 3 s of a core and 300 MB. At 10^6 searches a
    day, each a row and its clicks further ones, this is less than a fifth of a day, whatever ``ring_days``
    says: a ring that drips over longer is seen with more alone, at 1.5 kB and 15 us of a core a row."""
    ring_days: int = Field(7, ge=1)
    """That are looked back: a ring that drips is seen by what it adds up to."""
    ring_clients: int = Field(5, ge=3)
    """Of a ring, at least: fewer move little, and friends agree."""
    ring_shared: int = Field(3, ge=2)
    """Things clicked by two clients from which they are compared."""
    ring_chance: float = Field(1e-4, gt=0, lt=1)
    """That two clients share as many by what they were shown, below which they are looked at together."""
    ring_surprise: float = Field(8.0, gt=0)
    """Nats by which a member's clicks on what the ring clicks must speak against what rank and all others'
    liking explain: e^-8 is one honest client in 3,000 of those that agree with others in the first place."""
    settle_s: float = Field(10, gt=0)
    """How often a collector looks whose evidence is to be taken out or put back."""


class FeedbackSettings(Section):
    """Streams, join, evidence."""

    stream_maxlen: int = Field(1_000_000, ge=1000)
    """Entries a stream holds at most; what is unread is never trimmed, new entries are refused instead."""
    shed_from: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=4, max_length=4)] = (
        0.8,
        0.9,
        0.95,
        0.99,
    )
    """How full Redis' memory (of its ``maxmemory``) or a record's stream may be before records are refused:
    impressions of the arms that exploit, the others, clicks and baskets, purchases."""
    batch: int = Field(256, ge=1)
    """Entries of each stream that a collector applies in one transaction."""
    block_s: float = Field(0.5, gt=0)
    """How long a collector waits for entries."""
    lease_s: float = Field(10.0, gt=0)
    """How long a dead owner keeps its lease."""
    dedupe_window_s: float = Field(2 * 86_400, gt=0)
    """An id seen within it counts once; an older event is refused."""
    join_window_s: float = Field(86_400, gt=0)
    """How long a page and its events wait for each other."""
    future_tolerance_s: float = Field(300, ge=0)
    """An event further in the future is refused."""
    click_window_s: float = Field(1800, gt=0)
    """How long after an explore page clicks are waited for before it tells what shoppers prefer."""
    blind_s: float = Field(60, gt=0)
    """A collector that did not see the streams for so long may have missed clicks: explore pages whose wait
    it interrupts tell nothing."""
    explored_maxlen: int = Field(2000, ge=1)
    """Explore pages kept a partition; the oldest give way."""
    head_searches: float = Field(200, gt=0)
    """Effective searches from which a query counts as one of the head."""
    torso_searches: float = Field(20, gt=0)
    """The same for the torso; below it is the tail."""
    half_life_s: float = Field(30 * 86_400, gt=0)
    """Of evidence."""
    action_weight: ActionWeight = ActionWeight()
    """How much an action counts as attraction, relative to a click."""
    examination: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0, 0.85, 0.72, 0.62, 0.53, 0.46, 0.4, 0.35, 0.31, 0.28), min_length=1
    )
    """Prior probability that a rank is looked at, from rank 1; until pages of concurrent arms tell it."""
    examination_model: Choice = "auto"
    """How pages are read: ``browsing`` (by rank and last click), ``cascade`` (downwards, until content),
    ``trust`` (by rank, some clicks going to the rank itself); ``auto``: what predicts pages held out best."""
    trusted: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = ()
    """Clicks a showing that go to the rank itself, from rank 1, until the model ``trust`` tells them."""
    min_examination: float = Field(FLOOR, gt=0, le=1)
    """Least examination that a showing counts as, so that a click far down is no more than 1 / that."""
    ranks_every_s: float = Field(600, gt=0)
    """How often it is estimated anew."""
    ranks_rows: int = Field(200_000, ge=1000)
    """Of the ledger, the newest, from which it is."""
    enough_examinations: float = Field(0.5, ge=0)
    """Below it an object that nobody clicked counts as never shown."""
    reformulation_window_s: float = Field(300, gt=0)
    """A second query within it is a reformulation of the first."""
    typing_s: float = Field(2.0, ge=0)
    """A query followed by its own extension within it is typing, not a search."""
    min_clients: int = Field(3, ge=1)
    """That must have asked a query before anybody else may hear of it: below, it is neither learned from nor
    lent, shown, exported or proposed; its own shoppers' rewrite may be cached. 1: every query is public."""
    queries_a_partition: int = Field(200_000, ge=100)
    """That evidence is kept of; those asked least give way (their ledger rows stay)."""
    objects_a_partition: int = Field(200_000, ge=100)
    """The same of objects; those that least was done with give way."""
    objects_a_query: int = Field(200, ge=10)
    queries_an_object: int = Field(200, ge=10)
    refinements_a_query: int = Field(100, ge=10)
    histories_a_query: int = Field(50, ge=10)
    """What sessions had asked before a query; the rarest give way."""
    attribution_window_s: float = Field(30 * 86_400, gt=0)
    """A purchase without a page belongs to the client's last click on the object within it, a return to the
    client's last purchase."""
    objects_a_client: int = Field(500, ge=10)
    """Objects whose clicks and purchases are remembered within that window, the newest."""
    currencies: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Units of the shop's own currency for one unit of another, by its code (``USD``). A purchase in one that
    is not named counts, its value does not."""
    ledger_days: int = Field(180, ge=1)
    action_names: dict[Annotated[str, Field(min_length=1, max_length=100)], Action] = ACTION_NAMES
    """What a shop's ``action_name`` means, to the letter; a name that is not here is taken, counted and
    teaches nothing (UBI's ``watch`` is one). Setting it replaces the whole map."""
    currency: str = Field("", pattern=r"^([A-Z]{3})?$")
    """ISO 4217, of amounts that name none; empty: such an amount is refused, and ``value_minor`` alone says
    what a purchase was worth."""
    strict_ubi: bool = False
    """Refuse every event and query that UBI 1.3.0's schemas refuse, the flat form among them."""
    guard: GuardSettings = GuardSettings()

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.click_window_s > self.join_window_s:
            raise ValueError("click_window_s is longer than join_window_s, after which pages are forgotten")
        if self.torso_searches >= self.head_searches:
            raise ValueError("torso_searches must be below head_searches")
        if list(self.shed_from) != sorted(self.shed_from):
            raise ValueError("shed_from must rise: what is dearer is shed later")
        return self
