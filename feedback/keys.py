"""All Redis keys: family, owner, bound, time to live. Nobody else spells a key.

Exactly one kind of process writes a family, but for (*). The tag ``{tenant:p}`` keeps a partition's streams,
dedupe, join and evidence in one slot, so that a batch's effect and its acknowledgement are one transaction.
The partition follows from the normalised query and stands at the head of ``query_id``.

State URL (no eviction)                       writer      bound                     time to live
  unseen:{t:p}:impressions         stream     gateway     settings.stream_maxlen    until read
  unseen:{t:p}:events              stream     gateway     settings.stream_maxlen    until read
  unseen:{t:p}:refinements         stream     collector   settings.stream_maxlen    until read
  unseen:{t:p}:links               stream     collector   a few a purchase          until read
  unseen:{t:p}:importing:<kind>    stream     import      a batch of a log          until it is played
  unseen:{t:p}:dead                stream     collector   10,000 entries            -
  unseen:{t:p}:seen                zset       collector   one an id in the window   dedupe window
  unseen:{t:p}:join:<query_id>     hash       collector   one a page                join window
  unseen:{t:p}:waiting             zset       collector   pages not yet come        join window
  unseen:{t:p}:exploring           zset       collector   explore pages             click window
  unseen:{t:p}:explored            stream     collector   settings.explored_maxlen  -
  unseen:{t:p}:watched             string     collector   1                         -
  unseen:{t:p}:session:<c>:<s>     zset       collector   50 queries and clicks     reformulation window, 1 h
  unseen:{t:p}:account:<client>    hash       collector   settings.objects_a_client attribution window, 3 days
  unseen:{t:p}:sold:<query_id>     hash       collector   objects bought            twice that
  unseen:{t:p}:once:<period>       hash       collector   one a client and query    dedupe window after it
  unseen:{t:p}:networks:<period>   hash       collector   prefixes times queries    dedupe window after it
  unseen:{t:p}:pace:<client>       zset       collector   1,000 pages and clicks    a day
  unseen:{t:p}:quarantined         set        collector   clients left out of p     -
  unseen:{t:p}:ledger:<day>        stream     collector   one an action             settings.ledger_days
  unseen:{t:p}:evidence:<q>        hash       collector   settings.objects_a_query  -
  unseen:{t:p}:moved               zset       collector   one a query               -
  unseen:{t:p}:queries             hash       collector   one a query               -
  unseen:{t:p}:crowds              hash       collector   settings.min_clients a query -
  unseen:{t:p}:clicked:<object>    hash       collector   settings.queries_an_object -
  unseen:{t:p}:refined:<q>         hash       collector   settings.refinements_a_query -
  unseen:{t:p}:preceded:<q>        hash       collector   settings.histories_a_query -
  unseen:{t:p}:objects             hash       collector   objects seen in p         -
  unseen:{t:p}:delays              hash       collector   6 h bins, window, ledger  -
  unseen:{t:p}:counts              hash       collector   reasons                   -
  unseen:{t:p}:lease:collector     string     collector   1                         lease
  unseen:{t:p}:last-call           string     collector   1                         -
  unseen:{t:p}:erasing             string     eraser      1                         30 s
  unseen:{t}:collectors            zset       collector   one a living collector    lease
  unseen:{t}:landmark              string     collector   1                         -
  unseen:{t}:examination           string     collector   1                         -
  unseen:{t}:maturity              string     collector   1                         -
  unseen:{t}:verified              hash       verifier    one a query               -
  unseen:{t}:verified:order        zset       verifier    one a query               -
  unseen:{t}:verified:seq          string     verifier    1                         -
  unseen:{t}:lending               string     verifier    1                         -
  unseen:{t}:suspended             stream     gateway     1,000 entries             -
  unseen:{t}:version:seq           string     learner*    1                         -
  unseen:{t}:version:<n>           string     learner*    settings.keep_versions    -
  unseen:{t}:standings             hash       release     settings.keep_versions    -
  unseen:{t}:stable                string     release     1                         -
  unseen:{t}:trial                 string     release     1                         -
  unseen:{t}:outcomes              hash       release     one a trial               since the anchor, a month
  unseen:{t}:revoked               set        release     versions                  -
  unseen:{t}:judged                string     release     1                         -
  unseen:{t}:paused                hash       release     learning, releases        -
  unseen:{t}:rewind                string     release     1                         -
  unseen:{t}:audit                 stream     release     10,000 entries            -
  unseen:{t}:erasure               string     eraser      1                         until it is finished
  unseen:{t}:imported              hash       import      one a log                 -
  unseen:{t}:exported              hash       export      one a day and partition   -
  unseen:{t}:shed                  hash       gateway     kinds and arms            -
  unseen:{t}:shed:<process>        string     gateway     1                         a day
  unseen:{t}:quarantined           hash       rings*      clients judged            -
  unseen:{t}:served:<n>            hash       gateway     two arms' counts          2 days
  unseen:{t}:live                  hash       gateway     13 slots of 5 s           2 minutes
  unseen:{t}:guests                hash       guests*     a few a purpose           -
  unseen:{t}:guests:under-way      zset       guests*     background_concurrency    their own
  unseen:{t}:lease:<role>          string     role        1                         lease
  unseen:{t}:secret                string     gateway     a fingerprint             -
  unseen:{t}:vitals:<process>      hash       process     its own figures           60 s; of several 15 s
  unseen:{t}:speakers:<process>    zset       process     one a living process      15 s
  unseen:{t}:curves                stream     gateway     5,760 samples             a day or so
  unseen:{t}:replicas              zset       rewriter    one a living replica      15 s
  unseen:{t}:replica:<name>        string     rewriter    its metrics, as text      15 s

Cache URL (time to live, least recently used out first)
  unseen:{t:p}:rewrite:<...>       string     rewriter    1 KiB                     settings.cache_ttl_s
  unseen:{t:p}:pool:<...>          string     rewriter    4 KiB                     settings.cache_ttl_s
  unseen:{t:p}:pinned:<query_id>   string     gateway     2 KiB                     settings.pin_ttl_s
  unseen:{t:p}:first:<c, q, list>  string     gateway     a query_id                settings.pin_ttl_s

(*) whoever makes a version takes its number by INCR and writes its manifest once: the learner what it
learned, the release process an older adapter under a new number. ``rings`` is the process that looks for
rings of clients, and the command of an operator who judges one. ``release`` is the release process and the
commands of an operator, which write through `agent.weights.registry` alone. ``eraser`` is the command that
forgets a client (`feedback.erasing`): while it holds a partition's collector lease it writes all that the
collector writes, and when it has done so it asks the learner to go back (``rewind``) and says it (``audit``).
``guests`` are verifier, learner, its runners and release: their searches share one budget, which they touch
through `agent.retrieval.budget` alone.
"""

import secrets
from dataclasses import dataclass
from typing import Literal

from typing_extensions import override

from feedback.text import bucket, digest, normalise, stamp

StreamKind = Literal["impressions", "events", "refinements", "links"]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Spells the keys of one tenant."""

    tenant: str = "default"
    partitions: int = 8

    def partition_of(self, user_query: str) -> int:
        """Return the partition of a query, in [0, partitions)."""
        return bucket(normalise(user_query), self.partitions, salt="partition")

    def partition_of_client(self, client_id: str) -> int:
        """Return the partition of what belongs to a client and to no query, in [0, partitions)."""
        return bucket(client_id, self.partitions, salt="client")

    def new_query_id(self, user_query: str) -> str:
        """Return a fresh query_id that carries its partition: ``03-5f0c...``.

        It is unsigned: the edge takes events of signed ones alone (`feedback.access.Signer.query_id`).
        """
        return f"{self.partition_of(user_query):02d}-{secrets.token_hex(12)}"

    def partition_in(self, query_id: str) -> int | None:
        """Return the partition inside a query_id, or None where no id of ours looks so; proves nothing."""
        head, dash, tail = query_id.partition("-")
        if not (dash and tail and head.isdecimal() and len(head) == 2):  # noqa: PLR2004 - two digits
            return None
        return int(head) if int(head) < self.partitions else None

    def _p(self, partition: int | str, rest: str) -> str:
        return f"unseen:{{{self.tenant}:{partition}}}:{rest}"

    def _t(self, rest: str) -> str:
        return f"unseen:{{{self.tenant}}}:{rest}"

    def _stream(self, partition: int, kind: str) -> str:
        return self._p(partition, kind)

    def importing(self) -> "Keys":
        """Return the same keys but for the streams: those are of a log that is played."""
        return ImportKeys(tenant=self.tenant, partitions=self.partitions)

    def impressions(self, partition: int) -> str:
        """Stream of Impression."""
        return self._stream(partition, "impressions")

    def events(self, partition: int) -> str:
        """Stream of Event."""
        return self._stream(partition, "events")

    def refinements(self, partition: int) -> str:
        """Stream of Refinement."""
        return self._stream(partition, "refinements")

    def links(self, partition: int) -> str:
        """Stream of Link: what another partition found out about a page or a client of this one."""
        return self._stream(partition, "links")

    def streams(self, partition: int) -> dict[str, str]:
        """Return the streams that a partition's collector reads, by what lies in them."""
        return {
            "impressions": self.impressions(partition),
            "events": self.events(partition),
            "refinements": self.refinements(partition),
            "links": self.links(partition),
        }

    def dead(self, partition: int) -> str:
        """Stream of what could not be read, with the reason."""
        return self._p(partition, "dead")

    def seen(self, partition: int) -> str:
        """Sorted set of ids already applied, by time."""
        return self._p(partition, "seen")

    def join(self, partition: int, query_id: str) -> str:
        """Hash: the impression and the events that wait for it."""
        return self._p(partition, f"join:{query_id}")

    def waiting(self, partition: int) -> str:
        """Sorted set of query_ids whose events wait for their page, by the time they began to wait."""
        return self._p(partition, "waiting")

    def exploring(self, partition: int) -> str:
        """Sorted set of query_ids of explore pages, by the time until which their clicks are waited for."""
        return self._p(partition, "exploring")

    def explored(self, partition: int) -> str:
        """Stream of Explored; the learner reads it as a consumer group."""
        return self._p(partition, "explored")

    def watched(self, partition: int) -> str:
        """Since when the streams were seen without a gap, and when last: ``<ms>:<ms>``."""
        return self._p(partition, "watched")

    def session(self, client_id: str, session_id: str) -> str:
        """Sorted set of a client's queries and clicks in one session by time; partitioned by both.

        By the client too, for a shop may give one session's id to many. The gateway reads it, for what was
        asked before.
        """
        both = f"{digest(client_id)}:{digest(session_id)}"
        return self._p(bucket(both, self.partitions, salt="session"), f"session:{both}")

    @staticmethod
    def client_name(client_id: str) -> str:
        """Return the digest by which accounts and the ledger name a client."""
        return digest(client_id)

    def account(self, client_id: str) -> str:
        """Hash: by object what a client clicked, bought and returned; in the client's partition."""
        return self._p(self.partition_of_client(client_id), f"account:{self.client_name(client_id)}")

    def sold(self, partition: int, name: str) -> str:
        """Hash of object -> the Sold that stands; of a page by its query_id, or of a client by its digest."""
        return self._p(partition, f"sold:{name}")

    def solds(self) -> str:
        """Pattern of those of all partitions."""
        return self._p("*", "sold:*")

    def once(self, partition: int, period: int) -> str:
        """Hash: by client and query of a period, objects shown and what was done with them."""
        return self._p(partition, f"once:{period}")

    def networks(self, partition: int, period: int) -> str:
        """Hash: pages of a period by network prefix, by query and by both."""
        return self._p(partition, f"networks:{period}")

    def pace(self, client: str, kind: Literal["pages", "clicks"]) -> str:
        """Sorted set of a client's newest pages, or clicks, by time; partitioned by client, a digest."""
        return self._p(bucket(client, self.partitions, salt="pace"), f"pace:{kind}:{client}")

    def quarantined_in(self, partition: int) -> str:
        """Set of the clients (digests) whose rows are out of the partition's evidence."""
        return self._p(partition, "quarantined")

    def quarantined(self) -> str:
        """Hash of client (a digest) -> Quarantined."""
        return self._t("quarantined")

    def ledger(self, partition: int, day: str) -> str:
        """Stream of per-client pseudonymous rows of a day (``2026-11-23``)."""
        return self._p(partition, f"ledger:{day}")

    def evidence(self, query: str, segment: str = "all") -> str:
        """Hash of forward-decayed weights of a normalised query."""
        return self._p(self.partition_of(query), f"evidence:{segment}:{digest(query)}")

    def moved(self, partition: int) -> str:
        """Sorted set of ``segment|query`` by the sequence number of their newest evidence."""
        return self._p(partition, "moved")

    def queries(self, partition: int) -> str:
        """Hash ``segment|query`` -> forward-decayed number of searches or clicks: its popularity."""
        return self._p(partition, "queries")

    def crowds(self, partition: int) -> str:
        """Hash ``segment|query`` -> digests of clients that asked it, as many as make it public."""
        return self._p(partition, "crowds")

    def clicked(self, partition: int, object_id: str) -> str:
        """Hash ``fold arm|segment|query`` -> weight: queries of this partition that led to a click on it."""
        return self._p(partition, f"clicked:{digest(object_id)}")

    def refined(self, query: str, segment: str = "all") -> str:
        """Hash ``fold arm|text`` -> weight: what shoppers typed next, and it worked."""
        return self._p(self.partition_of(query), f"refined:{segment}:{digest(query)}")

    def preceded(self, query: str, segment: str = "all") -> str:
        """Hash ``fold arm|history`` -> weight: what sessions had asked before, where the policy was told."""
        return self._p(self.partition_of(query), f"preceded:{segment}:{digest(query)}")

    def objects(self, partition: int) -> str:
        """Hash ``fold|object|measure`` -> weight over all queries of the partition."""
        return self._p(partition, "objects")

    def delays(self, partition: int) -> str:
        """Hash: pages by when they were shown, purchases by that and by how much later they came."""
        return self._p(partition, "delays")

    def counts(self, partition: int) -> str:
        """Hash of plain counters: what was applied, by arm, and what was dropped, by reason."""
        return self._p(partition, "counts")

    def collector_lease(self, partition: int) -> str:
        """Who owns the partition."""
        return self._p(partition, "lease:collector")

    def last_call(self, partition: int) -> str:
        """Names the batch that was applied last: sent again, it is not applied again."""
        return self._p(partition, "last-call")

    def erasing(self, partition: int) -> str:
        """Stands while an erasure wants the partition: its collector lets go of it."""
        return self._p(partition, "erasing")

    def joins(self) -> str:
        """Pattern of the hashes of all pages of all partitions."""
        return self._p("*", "join:*")

    def ledgers(self) -> str:
        """Pattern of all partitions' days of the ledger."""
        return self._p("*", "ledger:*")

    @staticmethod
    def partition_in_key(key: str) -> int:
        """Return the partition of a key that has one."""
        return int(key.partition("}")[0].rpartition(":")[2])

    def lease(self, role: str) -> str:
        """Who acts as verifier, learner, release or erasure, or fills the cache ahead."""
        return self._t(f"lease:{role}")

    def collectors(self) -> str:
        """Sorted set of collectors by their last beat, ms by Redis' own clock."""
        return self._t("collectors")

    def landmark(self) -> str:
        """The time that forward decay counts from, and the half-life: ``<ms>:<half_life_s>``."""
        return self._t("landmark")

    def examination(self) -> str:
        """How likely each rank is looked at, as estimated last."""
        return self._t("examination")

    def maturity(self) -> str:
        """What share of the purchases of what was shown has come, as estimated last."""
        return self._t("maturity")

    def verified(self) -> str:
        """Hash ``segment|query`` -> Verified."""
        return self._t("verified")

    def verified_order(self) -> str:
        """Sorted set of ``segment|query`` by the verifier's sequence number."""
        return self._t("verified:order")

    def verified_seq(self) -> str:
        """The verifier's sequence number."""
        return self._t("verified:seq")

    def lending(self) -> str:
        """String: LendingTerms."""
        return self._t("lending")

    def suspended(self) -> str:
        """Stream of ``segment|query`` whose pages are not those that the verdict rests on."""
        return self._t("suspended")

    def version_seq(self) -> str:
        """The newest version number, by INCR."""
        return self._t("version:seq")

    def version(self, version: int) -> str:
        """A version's Manifest."""
        return self._t(f"version:{version}")

    def standings(self) -> str:
        """Hash of version -> Standing."""
        return self._t("standings")

    def trial(self) -> str:
        """The Trial that runs; absent where none does."""
        return self._t("trial")

    def outcomes(self) -> str:
        """Hash of version -> Outcome."""
        return self._t("outcomes")

    def judged(self) -> str:
        """By partition, the ledger's last row that the last verdict of the gate rests on."""
        return self._t("judged")

    def paused(self) -> str:
        """Hash: ``learning`` or ``releases`` -> Pause."""
        return self._t("paused")

    def rewind(self) -> str:
        """The newest Rewind."""
        return self._t("rewind")

    def audit(self) -> str:
        """Stream of AuditEntry."""
        return self._t("audit")

    def erasure(self) -> str:
        """Forgetting: an erasure began, and its Rewind is still to be written."""
        return self._t("erasure")

    def exported(self) -> str:
        """Hash ``index|partition|day`` -> id of the ledger's last row that was exported there."""
        return self._t("exported")

    def imported(self) -> str:
        """Hash of a log's digest -> how many of its records were played."""
        return self._t("imported")

    def served(self, version: int) -> str:
        """Hash ``arm|what`` -> count, while the version is on trial: how its answers went."""
        return self._t(f"served:{version}")

    def live(self) -> str:
        """Hash of slot -> shoppers' searches in it."""
        return self._t("live")

    def guests(self) -> str:
        """Hash: the bucket, the pace, the queue and the totals of background searches."""
        return self._t("guests")

    def guests_under_way(self) -> str:
        """Sorted set of background requests under way, by when their place lapses."""
        return self._t("guests:under-way")

    def shed(self) -> str:
        """Hash ``kind|arm`` -> how many records were not written because Redis neared its bounds."""
        return self._t("shed")

    def shed_last(self, process: str) -> str:
        """The number of the last counts of what a process shed that were added."""
        return self._t(f"shed:{process}")

    def stable(self) -> str:
        """The number of the version that serves."""
        return self._t("stable")

    def revoked(self) -> str:
        """Set of versions that must not answer any more."""
        return self._t("revoked")

    def secret(self) -> str:
        """Fingerprint of the secret that the newest gateway has."""
        return self._t("secret")

    def vitals(self, process: str, name: str = "") -> str:
        """Hash of a process's own figures, for the live view; of one of several by its name."""
        return self._t(f"vitals:{process}:{name}" if name else f"vitals:{process}")

    def speakers(self, process: str) -> str:
        """Sorted set of the names of several processes that have vitals, by their last word, seconds."""
        return self._t(f"speakers:{process}")

    def curves(self) -> str:
        """Stream of what was counted so far, a sample every few seconds: the console's curves."""
        return self._t("curves")

    def replicas(self) -> str:
        """Sorted set of rewriter replicas by their last beat, ms by their own clocks."""
        return self._t("replicas")

    def replica(self, name: str) -> str:
        """A replica's metrics in Prometheus' text format."""
        return self._t(f"replica:{name}")

    def rewrite(self, query: str, *, template: str, segment: str, history: str = "-", canary: int = 0) -> str:
        """The policy's cached rewrite (CachedRewrite); of the version on trial where one is given.

        ``history`` stands for what the session asked before (`feedback.history.history_digest`).
        """
        by = f"{canary}:" if canary else ""
        return self._p(
            self.partition_of(query), f"rewrite:{template}:{segment}:{history}:{by}{digest(query)}"
        )

    def pool(self, query: str, *, template: str, segment: str) -> str:
        """Samples made ahead for the explore arm (SamplePool)."""
        return self._p(self.partition_of(query), f"pool:{template}:{segment}:{digest(query)}")

    def pinned(self, query_id: str) -> str:
        """How a first page was searched (Pinned); raises ValueError where the query_id is not one of ours."""
        partition = self.partition_in(query_id)
        if partition is None:
            raise ValueError("query_id: is not one of ours")
        return self._p(partition, f"pinned:{query_id}")

    def first_page(self, query: str, name: str) -> str:
        """When the last first page of a client's list was asked for, and its query_id.

        ``name``: see `agent.serve.pins.name_of`.
        """
        return self._p(self.partition_of(query), f"first:{stamp(name.encode())}")


class ImportKeys(Keys):
    """A tenant's keys with a played log's own streams, so that nobody else's entries are read with it."""

    @override
    def _stream(self, partition: int, kind: str) -> str:
        return self._p(partition, f"importing:{kind}")
