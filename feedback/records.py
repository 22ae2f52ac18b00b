"""Every record that crosses a process: on streams, in the evidence's neighbours, in the cache.

Streams tolerate unknown fields (an older reader meets a newer writer); the HTTP edge refuses them. A new
field has a default; ``schema`` rises only when an old reader would misread. Times are ``_at_ms`` (Unix,
UTC). Terms are UBI 1.3.0's.
"""

from enum import StrEnum

import msgspec

from feedback.examination.curve import Model


class Arm(StrEnum):
    """Which treatment a search got."""

    HOLDBACK = "holdback"
    STABLE = "stable"
    CANARY = "canary"
    EXPLORE = "explore"
    SHADOW = "shadow"
    LOG = "log"
    """A click log played from a file: pages that we did not shape."""


class Rung(StrEnum):
    """Which step of the serving ladder answered."""

    VERIFIED = "verified"
    NEAREST = "nearest"
    POLICY = "policy"
    RAW = "raw"


class Form(StrEnum):
    """How a rewrite meets the shop's own query."""

    ADD = "add"
    INSTEAD = "instead"


class Action(StrEnum):
    """What shoppers do that teaches; names that shops use for it are mapped at the edge."""

    CLICK = "click"
    ADD_TO_CART = "add_to_cart"
    PURCHASE = "purchase"
    RETURN = "return"
    """Takes a purchase back, in part or whole: returned, cancelled, refunded."""
    VIEW = "view"
    """The object was on the screen: replaces what is assumed of its rank."""


ORDERS = frozenset({Action.PURCHASE, Action.RETURN})
"""Which need no page: they belong to a client."""


class Band(StrEnum):
    """How often a query is asked."""

    HEAD = "head"
    TORSO = "torso"
    TAIL = "tail"


class Rewrite(msgspec.Struct, frozen=True, kw_only=True):
    """One action of the policy: what it wrote, and how likely it was."""

    text: str
    """Empty: nothing to add, a legal action."""
    token_ids: tuple[int, ...] = ()
    token_logprobs: tuple[float, ...] = ()
    """Nats, under the distribution sampled from; one per entry of token_ids."""
    temperature: float = 1.0
    version: int = 0
    """The policy's version; 0 is the base model."""
    made_at_ms: int = 0


class Earlier(msgspec.Struct, frozen=True, array_like=True):
    """What a session asked before a search: never what was found or clicked."""

    query: str
    """Normalised."""
    clicked: bool = False
    """Whether anything on its page was."""


History = tuple[Earlier, ...]
"""Oldest first; no query twice."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rewrite that the explore arm could have drawn for a page."""

    text: str
    token_ids: tuple[int, ...] = ()
    """Empty: a shopper's proposal, which no policy wrote."""
    logprob: float = 0.0
    """Of the whole rewrite under the policy that wrote it, nats; 0 for a proposal."""
    version: int = 0
    probability: float
    """That it was drawn; those of a draw sum to 1."""
    page: int = 0
    """Choices that find the same top 10 have the same number; 0 is the raw query's."""


class Draw(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the explore arm came to a page: at most the pool's samples and the verifier's proposals."""

    choices: tuple[Choice, ...]
    taken: int
    """Which of them was drawn."""
    object_ids: tuple[str, ...] = ()
    """What it found, best first, as many as the page has; the page holds it interleaved with raw."""
    examples: tuple[tuple[str, str], ...] = ()
    """That stood in the prompt of the policy's own choices."""
    base_model: str = ""
    prompt_version: str = ""


class Would(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a page in shadow would have been searched with."""

    rung: Rung
    source: str
    text: str = ""
    """Empty: the shop's own query."""
    version: int = 0
    """Of the policy that wrote the text; 0 where none did."""


class Impression(msgspec.Struct, frozen=True, kw_only=True):
    """One first page that was shown."""

    schema: int = 1
    query_id: str
    tenant: str = "default"
    segment: str = "all"
    user_query: str
    client_id: str
    session_id: str = ""
    shown_at_ms: int
    arm: Arm
    rung: Rung
    source: str
    """Why this list: verified, nearest, cache, model, raw:deadline, raw:silent, ..."""
    rewrite: Rewrite | None = None
    form: Form = Form.ADD
    template: str = "default"
    params: dict[str, str] = {}
    object_ids: tuple[str, ...]
    """In the order shown, first ordinal 1."""
    raw_object_ids: tuple[str, ...] = ()
    """The raw list's first page where it is known; equal to object_ids when raw was shown."""
    teams: tuple[str, ...] = ()
    """Team-draft interleaving: per shown object 'raw', 'rewrite' or 'both'; empty when not interleaved."""
    band: Band | None = None
    """None: not known when it was shown."""
    chance: float = 0.0
    """That this page would explore, of a client outside holdback; 0 where nothing was to be decided."""
    draw: Draw | None = None
    """Only where the explore arm drew."""
    aside: bool = False
    """Of holdback: in another arm this page would have explored, so it has no like among their pages."""
    purpose: str = "search"
    application: str = ""
    trial: int = 0
    """The version on trial when this was shown, where its page and the serving version's differ; else 0.

    Of a page that the shop searched itself (/rewrite) nobody knows; there, where their words differ."""
    network: str = ""
    """A daily digest of the network prefix (IPv4 /24, IPv6 /48) that asked; empty where it is not known."""
    would: Would | None = None
    """Of the arm shadow; None where it was not found out."""
    history: History = ()
    """What the session asked before, where the policy was asked with it; empty anywhere else."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a shopper did (UBI event)."""

    schema: int = 1
    event_id: str
    """Dedupe key; the sender's, or derived from the content."""
    query_id: str = ""
    """Empty in a click log without impressions, and of a purchase whose page the shop does not know."""
    tenant: str = "default"
    segment: str = "all"
    user_query: str = ""
    client_id: str
    session_id: str = ""
    action_name: Action
    object_id: str
    ordinal: int = 0
    """Rank shown, from 1; 0 when unknown."""
    occurred_at_ms: int
    value_minor: int = 0
    """Price of all pieces in minor units of the currency; of a return, what was paid back."""
    quantity: int = 1
    """Pieces bought or returned."""
    currency: str = ""
    """ISO 4217; empty: the shop's own."""
    compensates: str = ""
    """Of a return: the event_id of the purchase, where the shop names it."""
    network: str = ""
    """A daily digest of the network prefix that sent it (see Impression); empty where it is not known."""
    anonymous: bool = False
    """Of a browser that proved no client: its client_id stands for all such of its network, and what it did
    on a page counts for the page's client."""
    arm: Arm | None = None
    """Set only where there is no impression to say it (a played log)."""


class Refinement(msgspec.Struct, frozen=True, kw_only=True):
    """One shopper went from a query to another that worked: the second is a candidate for the first."""

    schema: int = 1
    refinement_id: str
    tenant: str = "default"
    segment: str = "all"
    user_query: str
    refined_query: str
    client_id: str
    occurred_at_ms: int
    arm: Arm
    shown: tuple[str, ...] = ()
    """Objects of the page where the second query worked, in order: they were looked at with the first
    query's wish."""
    object_id: str = ""
    """The one clicked there."""


class Explored(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the explore arm whose time for clicks is over: what shoppers preferred."""

    schema: int = 1
    query_id: str
    tenant: str = "default"
    segment: str = "all"
    band: Band | None = None
    query: str
    """Normalised."""
    client: str
    """A digest."""
    shown_at_ms: int
    form: Form = Form.ADD
    template: str = "default"
    draw: Draw
    """Without its objects."""
    rewrite: Rewrite
    """What was drawn, with the log-probability of each token."""
    interleaved: bool
    """False: the drawn list was the raw one, so that nothing could be preferred."""
    preference: float
    """Of the drawn list over raw, in [-1, 1] (`feedback.exploring.interleaving`)."""
    clicks: int
    """Objects of the page that were clicked."""


class RankEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """How likely each rank is looked at, and what that rests on (`feedback.examination.propensity`)."""

    schema: int = 1
    by_rank: tuple[float, ...]
    """From rank 1, which is 1 by convention."""
    joined: tuple[int, ...]
    """Ranks that objects shown at several ranks join to the first; the others keep the prior."""
    pages: int
    clicks: int
    made_at_ms: int
    trusted: tuple[float, ...] = ()
    """Clicks a showing that go to the rank itself, from rank 1."""
    model: Model = "browsing"
    log_likelihood: dict[Model, float] = {}
    """Of pages held out under each model, a page, in nats; empty where none was chosen."""


class Maturity(msgspec.Struct, frozen=True, kw_only=True):
    """What share of the purchases of what was shown has come (`feedback.evidence.delays`)."""

    schema: int = 1
    matured: float
    """In (0, 1]; observed purchases are divided by it."""
    mean_delay_s: float
    """From page to purchase, within the attribution window."""
    purchases: float
    """That tell of it."""
    model: str
    made_at_ms: int


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The verifier's verdict on a query: serve this text, or nothing."""

    schema: int = 1
    query: str
    """Normalised."""
    segment: str = "all"
    text: str
    """Empty: judged, and nothing is to be added."""
    form: Form = Form.ADD
    gain: float
    """Posterior mean of the DCG difference to raw, both folds."""
    gain_sd: float
    p_harm: float
    """Posterior probability that the gain is below 0."""
    support: float
    """Effective clicks behind it."""
    fingerprint: str
    """Of the top 10 of raw and of rewritten list when judged."""
    changes: bool
    """Whether it changes the top 10."""
    evidence_seq: int
    made_at_ms: int
    proposals: tuple[str, ...] = ()
    """Candidates that lack evidence: the explore arm may show them, so that they get some."""
    settled: bool = True
    """False: too little is known for a verdict; only the proposals and what is wanted count."""
    wanted: tuple[tuple[str, float], ...] = ()
    """Object_id and its share of what the query's shoppers wanted, the largest first, at most 10."""
    searches: float = 0.0
    """Effective pages shown for the query when judged; 0 in a click log."""
    seq: int = 0
    """The verifier's own sequence number; rises with every change, so that readers can follow."""


class LendingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """On which terms judged queries lend their words; gains are DCG differences to raw, a loan each."""

    schema: int = 1
    lends: bool = False
    """Whether loans are known to gain; else nothing is lent, whatever the rest says."""
    similarity: float = 1.0
    """Of the nearest judged query, above which a query is lent anything."""
    least_gain: float = 1.0
    """By what is wanted around the query, that a loan's page must have."""
    tried: int = 0
    """Judged queries that tell of it."""
    loans: int = 0
    """Of those, given under these terms."""
    worse: int = 0
    """Of the loans, by the query's own clicks."""
    gain: float = 0.0
    """Their mean, by the query's own clicks."""
    low: float = 0.0
    """Its lower bound."""

    @classmethod
    def read(cls, stored: bytes | str | None) -> "LendingTerms":
        """Return the stored terms; where there are none or they cannot be read, those that lend nothing."""
        try:
            return msgspec.json.decode(stored or b"{}", type=cls)
        except msgspec.DecodeError:
            return cls()


class SamplePool(msgspec.Struct, frozen=True, kw_only=True):
    """The policy's samples for a query, made ahead for the explore arm, and the prompt that they answer."""

    schema: int = 1
    samples: tuple[Rewrite, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()
    base_model: str = ""
    prompt_version: str = ""


class CachedRewrite(msgspec.Struct, frozen=True, kw_only=True):
    """The policy's rewrite of a query, as the cache holds it."""

    schema: int = 1
    rewrite: Rewrite
    neighbours_seq: int = 0
    """Verified sequence number at which the prompt's neighbours were drawn."""


class Pinned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a first page was searched, so that its further pages are, and so that a shop can report it."""

    schema: int = 1
    query_id: str
    user_query: str
    client: str = ""
    """A digest; empty where nobody was named."""
    session_id: str = ""
    at_ms: int
    arm: Arm
    rung: Rung
    source: str
    rewrite: Rewrite | None = None
    text: str = ""
    """Of the decision."""
    terms: tuple[str, ...] = ()
    """Of the plan; empty: the raw query."""
    form: Form = Form.ADD
    weight: float = 0.7
    own_weight: float = 0.5
    template: str = "default"
    params: str = ""
    """The template's parameters that were set, as JSON with sorted keys."""
    like: str = ""
    """Digest of what decides the list in the client's own body, where no template makes it."""
    segment: str = "all"
    size: int = 10
    object_ids: tuple[str, ...] = ()
    """Of the first page; empty where the shop searches itself."""
    interleaved: bool = False
    """Whether the first page was drafted from two lists."""
    would: Would | None = None
    """See Impression."""
    by_shop: bool = False
    """Whether the shop shows the page itself and reports it (/rewrite)."""
    history: History = ()
    """See Impression."""
    application: str = ""
    trial: int = 0
    """See Impression; of a page that the shop shows itself."""

    @property
    def version(self) -> int:
        """Of the policy that wrote the rewrite; 0 where none did."""
        return self.rewrite.version if self.rewrite else 0


class Forgetting(msgspec.Struct, frozen=True, kw_only=True):
    """An erasure began: what its rows taught is to be undone, whoever finishes it. Names no client."""

    schema: int = 1
    first: dict[str, str]
    """By partition, the stream id of the first row that goes."""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A client teaches nothing, or somebody found that it may."""

    schema: int = 1
    reason: str
    """``ring``, or what an operator wrote."""
    score: float = 0.0
    """Nats by which its clicks speak against chance (`feedback.guard.rings`)."""
    ring: str = ""
    """Name of the group that it was found in."""
    since_ms: int
    by: str
    released: bool = False
    """It teaches again, and is not found anew."""
