"""The sections of the settings tree: what each part of Unseen is told, with defaults that work."""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from feedback.records import Action, Band
from feedback.settings import Section

HeaderName = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
HOPS = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
"""Headers that are said to the next server alone, or of a body as it was packed on the way here."""


class OpenSearchSettings(Section):
    """The shop's search engine and its own query."""

    url: str = "http://127.0.0.1:9200"
    """``https://user:password@search:9200`` too."""
    ca_file: Path | None = None
    """Whose certificates are believed at ``https://``; None: those that the system believes."""
    background_url: str = ""
    """For verifier, learner and filling; empty: the shoppers' one."""
    index: str = "products"
    fields: tuple[str, ...] = ("title^3", "category", "description")
    """What the shop's own multi_match clause searches."""
    operator: Literal["or", "and"] = "or"
    templates: Path | None = None
    """Folder of the shop's search templates, ``NAME.json``; ``default.json`` takes the place of that clause.
    Each process reads it once, at its start."""
    timeout_s: float = Field(5.0, gt=0)
    """Of one request; of a shopper's page, whatever searches it takes."""
    most_waiting: int = Field(256, ge=1)
    """Shoppers' requests that wait for OpenSearch at a time in one process, over as many connections; one
    more is answered at once that there is no room."""
    background_concurrency: int = Field(2, ge=1)
    """Background requests at a time; it shrinks on 429 and on rising latency."""
    background_share: float = Field(0.05, ge=0, le=1)
    """Of the shoppers' searches a second, that verifier, learner and release may make together."""
    background_per_s: float = Field(2.0, gt=0)
    """What they may make a second in any case."""
    background_budget: bool = True
    """False: their concurrency alone is bounded, by process: for an engine that no shopper waits for."""
    passed_headers: tuple[HeaderName, ...] = ()
    """Of what the shop's own OpenSearch clients send, passed on beside ``Accept``, ``Authorization``,
    ``Content-Type``, ``User-Agent`` and ``X-Opaque-Id``: ``["x-tenant"]``."""

    @model_validator(mode="after")
    def _headers_are_the_clients(self) -> Self:
        if ours := sorted(HOPS.intersection(self.passed_headers)):
            raise ValueError(f"passed_headers: {ours[0]} is between two servers, and never passed on")
        return self


class PlanSettings(Section):
    """Forms and limits of a rewrite in the query."""

    weight: float = Field(0.7, gt=0, le=1)
    """Of an added term against the shop's own clause."""
    own_weight: float = Field(0.5, ge=0, le=1)
    """Of the shopper's own words in the form *instead*."""
    instead_from_words: int = Field(12, ge=3)
    """A request of at least so many words is rewritten as a whole."""
    max_terms: int = Field(8, ge=1, le=64)
    max_chars: int = Field(80, ge=8, le=1024)


class PolicySettings(Section):
    """The language model."""

    model: str = "smollm2"
    """``smollm2`` (the wheel's SmolLM2-135M-Instruct), ``tiny`` (random, for tests) or a path or name."""
    temperature: float = Field(0.8, gt=0)
    max_new_tokens: int = Field(8, ge=1, le=64)
    long_max_new_tokens: int = Field(16, ge=1, le=64)
    lora_rank: int = Field(16, ge=1)
    lora_layers: int = Field(8, ge=1)
    """The top layers that learn."""
    neighbours: int = Field(4, ge=0, le=16)
    """Asked queries with their verified rewrites that stand in the prompt."""
    history: int = Field(0, ge=0, le=8)
    """Earlier queries of the session that stand in the prompt, each with whether it got a click; 0: none, and
    no session is looked up."""
    threads: int = Field(1, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto``: a CUDA GPU where a process has one, else the CPU."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the frozen model; the adapter is float32 in any case. ``auto``: bfloat16 on a
    GPU or CPU that has it (Intel's AMX, AVX512-BF16)."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """Who writes for shoppers: the rewriter's own process, or a vLLM server. Learner and gate have the model
    in their own processes in any case."""
    vllm_url: str = Field("", pattern=r"^(https?://\S+)?$")
    """Of the server, which serves the weights of ``model``: ``http://vllm:8000``."""
    vllm_key_file: Path | None = None
    """That holds the server's API key and nothing else; None: it needs none."""
    vllm_folder: Path | None = None
    """Where adapters are written for the server, which sees the folder at the same path; None: ``vllm`` in
    the tenant's data folder."""
    vllm_timeout_s: float = Field(5.0, gt=0, le=15)
    """Of a batch of rewrites, after which it has failed."""

    @model_validator(mode="after")
    def _vllm_has_an_address(self) -> Self:
        if self.engine == "vllm" and not self.vllm_url:
            raise ValueError("vllm_url: the engine vllm needs the server's address")
        return self


class ServeSettings(Section):
    """Gateway, ladder and arms."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535)
    """0: any free one."""
    admin_host: str = "127.0.0.1"
    """Of the admin port; one that others reach needs a key with the scope ``admin``."""
    admin_port: int = Field(8001, ge=0, le=65_535)
    """Of metrics and documentation. Each gateway process takes the first free one of this and the next 15, so
    that several on one machine can all be scraped. 0: any free one."""
    tls_cert: Path | None = None
    """Certificate (PEM, with its chain) with which both ports speak HTTPS; None: HTTP."""
    tls_key: Path | None = None
    """Its private key (PEM, without a password)."""
    most_at_once: int = Field(512, ge=1)
    """Requests in one gateway process, beyond which others are told to come again before any work is done."""
    shadow: bool = False
    """Everybody gets the shop's own query; what would have been searched instead is written beside the page,
    and no version goes on trial: for the first weeks. ``unseen shadow`` says what would have been done."""
    drop_in: bool = True
    """Whether the gateway answers OpenSearch's own routes too: those that read the index."""
    drop_in_ubi: Literal["auto", "keep", "strip"] = "auto"
    """Whether ``ext.ubi`` goes on to OpenSearch, whose UBI plugin records it. ``auto``: where every node says
    that it has the plugin."""
    deadline_s: float = Field(0.25, gt=0)
    """For a live rewrite; past it the shopper gets the raw query's results."""
    raw_beside: bool = True
    """Whether the shop's own query is searched while a shopper's search waits for a live rewrite."""
    cache_ttl_s: float = Field(86_400, gt=0)
    near_cache_s: float = Field(30.0, ge=0)
    """How long a gateway takes for granted what the cache said of a query; a revoked version answers at no
    time. 0: it asks each time."""
    fill_ahead: int = Field(200, ge=0, le=100_000)
    """Most frequent queries on the policy's rung whose words are asked for when a version begins to serve,
    before anybody searches for them; 0: none."""
    holdback_share: float = Field(0.1, ge=0, lt=1)
    explore_share: float = Field(0.1, ge=0, lt=1)
    """Of all searches, at most, that may be tried out; where in the traffic follows from how thin the
    evidence is."""
    explore_most: float = Field(0.5, ge=0, le=1)
    """Of one query's searches, at most; never less than the share itself."""
    explore_prior_searches: float = Field(8.0, gt=0)
    """Effective searches at which a query's doubt is down to .7 of that of a query nobody asked."""
    explore_weight: dict[Band, Annotated[float, Field(ge=0)]] = dict.fromkeys(Band, 1.0)
    """Of the share, how much goes to searches of queries of the head, torso and tail (see
    feedback.head_searches), beside what their doubt says."""
    raw_share: float = Field(0.1, ge=0, lt=1)
    """Of the searches for a query with a verified rewrite that get raw at least, so that it can be judged
    again."""
    raw_examinations: float = Field(20.0, ge=0)
    """Raw pages a half-life that such a query gets, if traffic allows; 0: the share stays as it is."""
    most_raw_share: float = Field(0.5, ge=0, lt=1)
    """That this may take of the query's searches."""
    lenders: int = Field(8, ge=0)
    """Judged queries that may lend their words and their verified rewrite to one without a verdict, for a
    search each, on the terms that the verifier finds to pay. 0: nothing is lent."""
    policy_gain: float = Field(0.05, ge=0)
    """What the page of the policy's words must gain by the same, where the raw page is not empty and anything
    is known around the query."""
    min_policy_gain: float | None = None
    """Gain over raw (DCG, mean over the gate's held-back queries) that the serving version's lower bound must
    exceed before shoppers outside the explore arm get its words; None: any version answers, the base too."""
    gateways: int = Field(1, ge=1)
    """Gateway processes, wherever Ray has room."""
    most_gateways: int | None = Field(None, ge=1)
    """Up to so many, as the load asks; None: as many as ``gateways``, always."""
    gateway_load: float = Field(4.0, gt=0)
    """Searches under way in a gateway, on average, beyond which another one is started."""
    replicas: int = Field(1, ge=1)
    """Processes that write rewrites, each with the model."""
    most_replicas: int | None = Field(None, ge=1)
    """Up to so many, as the load asks; None: as many as ``replicas``, always."""
    replica_load: float = Field(8.0, gt=0)
    """Rewrites under way in a replica, on average, beyond which another one is started."""
    batch: int = Field(8, ge=1)
    impression_buffer: int = Field(10_000, ge=1)
    pin_ttl_s: float = Field(3600, gt=0)
    """How long further pages follow their first one, and how long a page of /rewrite can be reported."""
    pins: int = Field(10_000, ge=1)
    """First pages that a gateway remembers itself; the others are in the cache."""
    pool_samples: int = Field(4, ge=0, le=16)
    """Sampled ahead for a query, when idle, for the explore arm to draw from; 0 makes none."""
    lists_max_age_s: float = Field(600, ge=0)
    """How long the explore arm takes it for granted which page a rewrite finds that it did not draw."""
    second_try: bool = True
    """Whether the policy is asked once more, within the deadline, where a shopper's page is empty."""
    poll_s: float = Field(0.5, gt=0)

    @model_validator(mode="after")
    def _arms_fit(self) -> Self:
        if self.holdback_share + self.explore_share > 1:
            raise ValueError("holdback_share and explore_share are more than 1 together")
        if missing := [band.value for band in Band if band not in self.explore_weight]:
            raise ValueError(f"explore_weight: names no weight for {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _most_is_no_less(self) -> Self:
        for name in ("gateways", "replicas"):
            least, most = getattr(self, name), getattr(self, f"most_{name}")
            if most is not None and most < least:
                raise ValueError(f"most_{name}: {most} is less than {name}, {least}")
        return self

    @model_validator(mode="after")
    def _tls_has_both(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key: HTTPS needs both")
        return self


class VerifySettings(Section):
    """The verifier."""

    candidates: int = Field(12, ge=1)
    """Tried for a query, besides adding nothing."""
    paired: int = Field(5, ge=0)
    """Of those, the best supported, whose words are also tried two by two; 0: none. Chosen on the seventh to
    ninth tenth of a click log."""
    depth: int = Field(10, ge=1)
    """Ranks that count."""
    max_harm: float = Field(0.02, gt=0, lt=1)
    """Mean posterior probability of harm over everything served (false-discovery rule)."""
    prior_examinations: float = Field(4.0, gt=0)
    """Alpha of the shrinkage of an object's attractiveness to the shop's mean."""
    min_lift: float = Field(2.0, ge=0)
    """Lower bound of an object's rate for the query over its rate elsewhere, from which it counts."""
    batch: int = Field(64, ge=1)
    """Queries a pass judges."""
    idle_s: float = Field(0.5, gt=0)


class LearnerSettings(Section):
    """The learner."""

    queries_a_step: int = Field(12, ge=1)
    group: int = Field(6, ge=1)
    """Own samples a query, each compared with the others; 1 has nothing to compare: verified rewrites alone
    teach."""
    depth: int = Field(10, ge=1, le=1000)
    """Ranks that the reward counts. Pages teach of the first one only; labels teach of deeper ranks too."""
    lr: float = Field(5e-4, gt=0)
    estimator: Literal["mixed", "gvpo", "oapl"] = "mixed"
    """How a group's rewards become a gradient: see ``agent/learner/loss.py`` and ``challengers.py``."""
    estimator_beta: float = Field(0.1, gt=0)
    """Pull to the policy that sampled, in ``gvpo`` and ``oapl``; in units of ``imitation_scale``."""
    teachers: Literal["both", "own", "candidates"] = "both"
    """``own``: verified rewrites teach nothing; ``candidates``: the policy's own samples are not drawn."""
    distinct_samples: bool = False
    """A text that a group drew more than once counts once, not as often as it was drawn."""
    imitation_scale: float = Field(0.2, gt=0)
    """Posterior gain at which a verified candidate has full weight."""
    imitate_a_step: int = Field(20, ge=0)
    """Further queries a step whose group is the verified rewrite alone: cheap, and the first teacher."""
    silent_share: float = Field(0.25, ge=0, le=1)
    """Of those, queries to which nothing is to be added."""
    silence_weight: float = Field(0.1, ge=0, le=1)
    """Of a verified empty rewrite, in place of its gain."""
    direct_a_step: int = Field(0, ge=0)
    """Pages of the explore arm mixed into a step, each with the weight of a group; 0: what shoppers prefer
    there does not teach."""
    direct_max_versions: int = Field(100, ge=0)
    """A page whose rewrite is of a version further off from ours is dropped."""
    direct_max_age_s: float = Field(2 * 86_400, gt=0)
    """A page shown longer ago is dropped."""
    direct_min_effective: float = Field(0.2, ge=0, le=1)
    """Effective sample size over pages of a step, below which its pages are left out."""
    fresh_share: float = Field(0.7, ge=0, le=1)
    """Of a step's queries, those whose evidence moved; the others keep what is known."""
    redraws: int = Field(2, ge=0)
    """Times in a step that queries without any difference in their group are replaced by others."""
    precise_from: float = Field(8.0, gt=0)
    """Observations (examinations of a query's page, or clicks) at which replay draws a query half as often as
    one of endless evidence."""
    dull_floor: float = Field(0.125, gt=0, le=1)
    """Least share of its weight in replay that is left to a query whose groups showed no difference; each
    such group halves it, one that does or newer evidence restores it. 1: no query is drawn less."""
    free_words: int = Field(3, ge=0)
    """Of a rewrite, that cost nothing."""
    length_cost: float = Field(0.002, ge=0)
    """Of every further word, in DCG."""
    repetition_cost: float = Field(0.01, ge=0)
    """Of a rewrite that only repeats itself or the query, in DCG; in part by the share of such words."""
    watch_every: int = Field(20, ge=1)
    """Updates between two measurements of the divergence from the base model."""
    watch_groups: int = Field(4, ge=1)
    """Groups of own samples that it is measured on."""
    max_divergence: float = Field(6.0, gt=0)
    """Nats a token from the base model, above which the adapter is scaled back towards it."""
    lease_s: float = Field(30.0, gt=0)
    """How long a dead learner keeps its lease."""
    idle_s: float = Field(0.5, gt=0)
    """Between two looks for evidence while there is none."""
    publish_every: int = Field(5, ge=1)
    """Updates between two candidate versions."""
    held_back_share: float = Field(0.1, ge=0, lt=1)
    """Of the query clusters: the gate's, kept out of learning."""
    keep_checkpoints: int = Field(8, ge=2)
    """The newest two, and older ones of versions that are still known, spread over time: to go back to."""
    keep_batches: int = Field(2000, ge=0)
    """Newest steps whose batch is kept, so that they can be made again; 0 keeps none."""
    nice: int = Field(19, ge=0, le=19)
    """19: it computes only on cores that nobody else wants (`agent.niceness`)."""
    threads: int = Field(1, ge=1)
    learners: int = Field(0, ge=0)
    """Remote RLlib learners; 0 learns in the process."""
    runners: int = Field(0, ge=0)
    """Remote environment runners, which write and search; 0: the process does."""
    ray_address: str = "local"
    """``local`` starts a small Ray of its own; ``auto`` or an address joins a cluster."""


class ReleaseSettings(Section):
    """The gate, trials, what is kept."""

    gate_margin: float = Field(0.01, ge=0)
    """A version may be so much worse than the serving one on held-back clusters (DCG)."""
    gate_queries: int = Field(48, ge=1)
    """Held-back queries that a version answers to be judged."""
    min_queries: int = Field(8, ge=1)
    """Of those with new clicks, that a verdict waits for."""
    gate_clicks: int = Field(50, ge=0)
    """Clicks on held-back queries, after a version's evidence window and after the last verdict, that a
    verdict waits for. 0: it waits for nothing and judges by all evidence there is."""
    max_harm_rate: float = Field(0.25, gt=0, le=1)
    """Held-back queries on which a version may be worse than raw, as a share."""
    max_words: float = Field(6.0, gt=0)
    """Mean words of a rewrite, above which a version is ill."""
    max_repeated: float = Field(0.1, ge=0, le=1)
    """Words of rewrites that stand in them before, as a share; the query's own words are a shopper's way to
    refine it."""
    max_same: float = Field(0.5, gt=0, le=1)
    """Rewrites that hold one and the same word, as a share of those that are not empty."""
    max_odd: float = Field(0.05, ge=0, le=1)
    """Words of rewrites that are none (symbols, emojis, strings without a vowel), as a share."""
    max_silence_jump: float = Field(0.6, gt=0, le=1)
    """By which the share of empty rewrites may rise or fall against the serving version."""
    max_divergence: float = Field(8.0, gt=0)
    """Nats a token from the base model."""
    max_norm_ratio: float = Field(20.0, gt=0)
    """Of the adapter's norm to that of a fresh one."""
    max_answer_s: float = Field(5.0, gt=0)
    """To write a batch of rewrites, as a replica does."""
    min_slope: float = Field(0.6, ge=0, le=1)
    """Of realised on predicted gain, below which a version is ill."""
    canary_share: float = Field(0.05, gt=0, le=0.5)
    """Of the clients outside holdback who get a version on trial."""
    trial_every_s: float = Field(3600, ge=0)
    """Between the beginnings of two trials, at least."""
    trial_s: float = Field(86_400, gt=0)
    """After which a trial ends, whatever is known."""
    trial_pages: int = Field(0, ge=0)
    """Canary pages that differ after which it ends too; 0: time alone ends it."""
    trial_margin: float = Field(0.05, gt=0, lt=1)
    """Of clicks, that a version may cost at most to be promoted before its time is over."""
    limit_margin: float = Field(0.10, gt=0, lt=1)
    """The same once its time is over."""
    harm_alpha: float = Field(0.03, gt=0, lt=1)
    """Chance that a harmless version is rolled back by its trial, and as much by its check, however often it
    is looked at. A bound that clients who come back make generous: 2 of 1,000 simulated harmless versions are
    rolled back by their trials (1 at .01, 4 at .05), and a loss of 30 % of clicks at a click rate of .1 shows
    in 1,150 canary pages in the median (1,400 at .01)."""
    promote_alpha: float = Field(0.05, gt=0, lt=1)
    """Chance that one worse than the margin is promoted, however often it is looked at."""
    check_promotions: bool = True
    """Keep the version before on a few clients after a promotion, and measure the new one by them again."""
    min_clients: int = Field(30, ge=2)
    """In each arm, with a page that differs, below which nothing is decided."""
    purchase_age_s: float = Field(6 * 3600, gt=0)
    """Age at which a trial's pages count their purchases; shorter than the trial."""
    loss_budget: float = Field(0.02, gt=0, lt=1)
    """Of a month's clicks, that releases may cost by their own measurement before they stop."""
    anchor_s: float = Field(7 * 86_400, gt=0)
    """Age from which a version that served is what promotions are held against."""
    keep_versions: int = Field(20, ge=2)
    """The newest ones; what serves, is on trial, or is needed by these stays too."""
    after_rollback: Literal["continue", "stop"] = "continue"
    """What the learner does when the version that it comes from was rolled back: go on from the one that
    serves, or stop until it is resumed."""
    lease_s: float = Field(15.0, gt=0)
    """How long a dead release process keeps its lease."""
    poll_s: float = Field(1.0, gt=0)
    """Between two looks."""

    @model_validator(mode="after")
    def _purchases_come_in_time(self) -> Self:
        if self.purchase_age_s >= self.trial_s:
            raise ValueError("purchase_age_s must be below trial_s: else no purchase of a trial ever counts")
        return self


class WeightsSettings(Section):
    """Where adapters lie."""

    folder: str = ""
    """A folder, or a URL that all processes reach: ``file:///folder``, ``s3://bucket/prefix`` (needs s3fs),
    ``gs://…`` (gcsfs), ``abfs://…`` (adlfs). Empty: ``weights`` in the data folder."""


class Scope(StrEnum):
    """What a key opens."""

    SEARCH = "search"
    """Searches, rewrites, and OpenSearch's own routes."""
    EVENTS = "events"
    """What shoppers did, and what a shop showed them."""
    ADMIN = "admin"
    """The admin port, with all that the console changes."""
    METRICS = "metrics"
    """Of the admin port, what Prometheus reads."""


SHOP = frozenset({Scope.SEARCH, Scope.EVENTS})
"""What is open on the main port."""
SecretKey = Annotated[SecretStr, Field(min_length=16)]


class AccessKey(Section):
    """A secret key of its own scopes and limits; it stands here or in a file."""

    key: SecretKey | None = None
    file: Path | None = None
    """That holds the key and nothing else."""
    scopes: Annotated[frozenset[Scope], Field(min_length=1)] = SHOP
    searches_per_minute: int | None = Field(None, ge=0)
    """None: as ``access.searches_per_minute``."""
    events_per_minute: int | None = Field(None, ge=0)
    """None: as ``access.events_per_minute``."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.key is None) == (self.file is None):
            raise ValueError("must have either key or file")
        return self


class AccessSettings(Section):
    """Keys, secrets and whose word is taken."""

    secret: Annotated[SecretStr, Field(min_length=32)] | None = None
    """What client ids become pseudonyms with and page tokens are signed with: 32 characters or more. None: a
    file ``secrets/<tenant>.key`` in the data folder, made on the first start."""
    server_keys: tuple[SecretKey, ...] = ()
    """Secret keys of the shop's servers, each with the scopes search and events. Where no key at all has
    either, both are open."""
    server_keys_file: Path | None = None
    """Further ones, one a line."""
    keys: dict[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")], AccessKey] = Field(default_factory=dict)
    """Keys by a name of their own (in metrics), with the scopes that each is given."""
    searches_per_minute: int = Field(0, ge=0)
    """Searches a minute and key (without keys: and address) that a gateway process takes, each of an
    `_msearch` counted; up to so many at once, and what one request holds beyond is waited for after it. 0: no
    limit."""
    events_per_minute: int = Field(0, ge=0)
    """The same of events and of reported pages, each of a batch counted."""
    public_keys: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{8,128}$")], ...] = ()
    """Keys that the shop's pages carry, which open the browsers' intake. None: it is off."""
    origins: tuple[Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$")], ...] = ()
    """Of the shop's pages, as browsers name them: ``https://www.example.com``."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks whose ``X-Forwarded-For`` is believed: ``10.0.0.0/8``."""
    anonymous_per_minute: int = Field(60, ge=0)
    """Events a minute and network (IPv4 /24, IPv6 /48) that a gateway takes from browsers without a
    client_token; 0: none."""
    browser_actions: tuple[Action, ...] = (Action.CLICK, Action.ADD_TO_CART, Action.VIEW)
    """What a browser's word is taken for."""

    @property
    def is_keyed(self) -> bool:
        """Whether who searches or sends events needs a secret key."""
        named = any(key.scopes & SHOP for key in self.keys.values())
        return named or bool(self.server_keys) or self.server_keys_file is not None

    @property
    def has_admin_key(self) -> bool:
        """Whether the admin port needs a key."""
        return any(key.scopes & {Scope.ADMIN, Scope.METRICS} for key in self.keys.values())

    @model_validator(mode="after")
    def _browsers_have_both(self) -> Self:
        if bool(self.public_keys) != bool(self.origins):
            raise ValueError("public_keys and origins: the browsers' intake needs both")
        return self


class MetricsSettings(Section):
    """Where each process shows its metrics to Prometheus, as the gateway does at ``/metrics``; 0: nowhere."""

    host: str = "127.0.0.1"
    """Whoever reaches it may read them."""
    collector_port: int = Field(0, ge=0, le=65_535)
    verifier_port: int = Field(0, ge=0, le=65_535)
    learner_port: int = Field(0, ge=0, le=65_535)
    release_port: int = Field(0, ge=0, le=65_535)
    exporter_port: int = Field(9460, ge=1, le=65_535)
    """Of `unseen exporter`, which shows what the store holds and what rewriter replicas say."""
    least_s: float = Field(1.0, ge=0)
    """A scrape of the exporter sooner after another one gets the same figures."""
    every_s: float = Field(60.0, gt=0)
    """How often the exporter compares the arms by the ledger, and reads all verdicts."""
    days: int = Field(7, ge=1)
    """Of the ledger, compared."""
    rows: int = Field(200_000, ge=1000)
    """Of the ledger, the newest, compared."""
    verdicts: int = Field(100_000, ge=1)
    """That are read."""


class LogSettings(Section):
    """Logs."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"
    query_text: bool = False
    """Whether logs may repeat what shoppers searched for, and the texts of errors, which may hold it."""
