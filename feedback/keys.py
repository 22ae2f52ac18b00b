"""All Redis keys: family, owner, bound, time to live. Nobody else spells a key.

Exactly one kind of process writes a family, but for (*). The tag ``{tenant:p}`` keeps a partition's streams,
dedupe, join and evidence in one slot, so that a batch's effect and its acknowledgement are one transaction.
The partition follows from the normalised query and stands at the head of ``query_id``.

State URL (no eviction)                       writer      bound                     time to live
  unseen:{t:p}:impressions         stream     gateway     settings.stream_maxlen    until read
  unseen:{t:p}:events              stream     gateway     settings.stream_maxlen    until read
  unseen:{t:p}:refinements         stream     collector   settings.stream_maxlen    until read
  unseen:{t:p}:dead                stream     collector   10,000 entries            -
  unseen:{t:p}:seen                zset       collector   one an id in the window   dedupe window
  unseen:{t:p}:join:<query_id>     hash       collector   one a page                join window
  unseen:{t:p}:waiting             zset       collector   pages not yet come        join window
  unseen:{t:p}:exploring           zset       collector   explore pages             click window
  unseen:{t:p}:explored            stream     collector   settings.explored_maxlen  -
  unseen:{t:p}:watched             string     collector   1                         -
  unseen:{t:p}:session:<session>   zset       collector   50 queries                reformulation window
  unseen:{t:p}:ledger:<day>        stream     collector   one an action             settings.ledger_days
  unseen:{t:p}:evidence:<q>        hash       collector   settings.objects_a_query  -
  unseen:{t:p}:moved               zset       collector   one a query               -
  unseen:{t:p}:queries             hash       collector   one a query               -
  unseen:{t:p}:clicked:<object>    hash       collector   settings.queries_an_object -
  unseen:{t:p}:refined:<q>         hash       collector   settings.refinements_a_query -
  unseen:{t:p}:objects             hash       collector   objects seen in p         -
  unseen:{t:p}:counts              hash       collector   reasons                   -
  unseen:{t:p}:lease:collector     string     collector   1                         lease
  unseen:{t:p}:erasing             string     eraser      1                         30 s
  unseen:{t}:landmark              string     collector   1                         -
  unseen:{t}:examination           string     collector   1                         -
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
  unseen:{t}:served:<n>            hash       gateway     two arms' counts          2 days
  unseen:{t}:lease:<role>          string     role        1                         lease
  unseen:{t}:vitals:<process>      hash       process     its own figures           60 s

Cache URL (time to live, least recently used out first)
  unseen:{t:p}:rewrite:<...>       string     rewriter    1 KiB                     settings.cache_ttl_s
  unseen:{t:p}:pool:<...>          string     rewriter    4 KiB                     settings.cache_ttl_s

(*) whoever makes a version takes its number by INCR and writes its manifest once: the learner what it
learned, the release process an older adapter under a new number. ``release`` is the release process and the
commands of an operator, which write through `agent.weights.registry` alone. ``eraser`` is the command that
forgets a client (`feedback.erasing`): while it holds a partition's collector lease it writes all that the
collector writes, and when it has done so it asks the learner to go back (``rewind``) and says it (``audit``).
"""

import secrets
from dataclasses import dataclass

from feedback.text import bucket, digest, normalise


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Spells the keys of one tenant."""

    tenant: str = "default"
    partitions: int = 8

    def partition_of(self, user_query: str) -> int:
        """Return the partition of a query, in [0, partitions)."""
        return bucket(normalise(user_query), self.partitions, salt="partition")

    def new_query_id(self, user_query: str) -> str:
        """Return a fresh query_id that carries its partition: ``03-5f0c...``."""
        return f"{self.partition_of(user_query):02d}-{secrets.token_hex(12)}"

    def partition_in(self, query_id: str) -> int | None:
        """Return the partition inside a query_id, or None where the id is not one of ours."""
        head, dash, tail = query_id.partition("-")
        if not (dash and tail and head.isdecimal() and len(head) == 2):  # noqa: PLR2004 - two digits
            return None
        return int(head) if int(head) < self.partitions else None

    def _p(self, partition: int | str, rest: str) -> str:
        return f"unseen:{{{self.tenant}:{partition}}}:{rest}"

    def _t(self, rest: str) -> str:
        return f"unseen:{{{self.tenant}}}:{rest}"

    def impressions(self, partition: int) -> str:
        """Stream of Impression."""
        return self._p(partition, "impressions")

    def events(self, partition: int) -> str:
        """Stream of Event."""
        return self._p(partition, "events")

    def refinements(self, partition: int) -> str:
        """Stream of Refinement."""
        return self._p(partition, "refinements")

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

    def session(self, session_id: str) -> str:
        """Sorted set of a session's queries by time; partitioned by session."""
        return self._p(bucket(session_id, self.partitions, salt="session"), f"session:{digest(session_id)}")

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

    def clicked(self, partition: int, object_id: str) -> str:
        """Hash ``fold arm|segment|query`` -> weight: queries of this partition that led to a click on it."""
        return self._p(partition, f"clicked:{digest(object_id)}")

    def refined(self, query: str, segment: str = "all") -> str:
        """Hash ``fold arm|text`` -> weight: what shoppers typed next, and it worked."""
        return self._p(self.partition_of(query), f"refined:{segment}:{digest(query)}")

    def objects(self, partition: int) -> str:
        """Hash ``fold|object|measure`` -> weight over all queries of the partition."""
        return self._p(partition, "objects")

    def counts(self, partition: int) -> str:
        """Hash of plain counters: what was applied, by arm, and what was dropped, by reason."""
        return self._p(partition, "counts")

    def collector_lease(self, partition: int) -> str:
        """Who owns the partition."""
        return self._p(partition, "lease:collector")

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
        """Who acts as verifier, learner, release or erasure."""
        return self._t(f"lease:{role}")

    def landmark(self) -> str:
        """The time that forward decay counts from, and the half-life: ``<ms>:<half_life_s>``."""
        return self._t("landmark")

    def examination(self) -> str:
        """How likely each rank is looked at, as estimated last."""
        return self._t("examination")

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

    def served(self, version: int) -> str:
        """Hash ``arm|what`` -> count, while the version is on trial: how its answers went."""
        return self._t(f"served:{version}")

    def stable(self) -> str:
        """The number of the version that serves."""
        return self._t("stable")

    def revoked(self) -> str:
        """Set of versions that must not answer any more."""
        return self._t("revoked")

    def vitals(self, process: str) -> str:
        """Hash of a process's own figures, for the live view."""
        return self._t(f"vitals:{process}")

    def rewrite(self, query: str, *, template: str, segment: str, history: str = "-", canary: int = 0) -> str:
        """The policy's cached rewrite (CachedRewrite); of the version on trial where one is given."""
        by = f"{canary}:" if canary else ""
        return self._p(
            self.partition_of(query), f"rewrite:{template}:{segment}:{history}:{by}{digest(query)}"
        )

    def pool(self, query: str, *, template: str, segment: str) -> str:
        """Samples made ahead for the explore arm (SamplePool)."""
        return self._p(self.partition_of(query), f"pool:{template}:{segment}:{digest(query)}")
