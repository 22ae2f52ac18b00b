"""Settings of the event path: frozen sections, each handed to the constructor that needs it."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from feedback.curve import FLOOR, Choice


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


class FeedbackSettings(Section):
    """Streams, join, evidence."""

    stream_maxlen: int = Field(1_000_000, ge=1000)
    """Entries a stream holds at most; what is unread is never trimmed, new entries are refused instead."""
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
    objects_a_query: int = Field(200, ge=10)
    queries_an_object: int = Field(200, ge=10)
    refinements_a_query: int = Field(100, ge=10)
    ledger_days: int = Field(180, ge=1)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.click_window_s > self.join_window_s:
            raise ValueError("click_window_s is longer than join_window_s, after which pages are forgotten")
        if self.torso_searches >= self.head_searches:
            raise ValueError("torso_searches must be below head_searches")
        return self
