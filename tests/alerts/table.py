"""Which fault fires which alert. Every alert of `deploy/prometheus` stands here once."""

import signal
from collections.abc import Iterator, Mapping

from tests.alerts import records
from tests.alerts.faults import (
    BUSY,
    NEARLY_FULL,
    SLOW_S,
    Act,
    Fault,
    another_machine,
    killed,
    learns_again,
    letters_dropped,
    nothing,
    redis_is_bounded,
    redis_passes,
    redis_refuses,
    replica_gets,
    replica_goes_on,
    search_is,
    search_passes,
    started,
    target_lost,
    targets_found,
    unreadable_entry,
    watcher_may,
    wrong_ids,
)
from tests.faults.proxy import Fault as Broken
from tests.faults.proxy import http_answer

Lane = tuple[Fault, ...]
"""Faults that come one after the other; lanes go side by side."""
Ways = tuple[Act, Act]
"""Into a fault and out of it."""
LEFT: Mapping[str, str] = {
    "UnseenDivergence": "the loop's tiny model writes letters that are nearly alike at its start: "
    "weights drawn at random take it 4 nats from there, not 6; tests/unit/test_learner_divergence.py holds "
    "the figure",
    "UnseenOffPolicy": "own samples are drawn by the weights that learn from them, which makes it 1 unless "
    "remote runners get no weights; tests/unit/test_learner_signals.py holds the figure",
}
"""Alerts that nothing here fires, and why."""


def stages() -> tuple[tuple[Lane, ...], ...]:
    """Return the lanes of each stage.

    Lift is compared again only after the first stage, and the learner is right again. A replica that hangs is
    started anew, which takes the whole machine. The fourth stage takes Redis away, which all others need.
    """
    side_by_side = (_of_outage(),), (_of_arms(),)
    return (
        _first(wrong_ids()),
        ((_of_replica(),),),
        side_by_side,
        (_of_redis(),),
        _last(another_machine()),
    )


def faults() -> Iterator[Fault]:
    """Yield every fault."""
    for lanes in stages():
        for lane in lanes:
            for fault in lane:
                yield from fault.flat()


def _first(sale: Ways) -> tuple[Lane, ...]:
    alone = (_of_engine(), _of_learner(), _of_releases(), _of_verifier(), _of_exporter())
    return (_of_events(sale), *((fault,) for fault in alone))


def _of_engine() -> Fault:
    return Fault(
        name="OpenSearch is slow",
        begin=search_is(Broken(delay_s=SLOW_S)),
        end=search_passes,
        fires=("UnseenSearchSlow",),
    )


def _of_replica() -> Fault:
    return Fault(
        name="the rewriter's replica hangs",
        begin=replica_gets(signal.SIGSTOP),
        end=replica_goes_on,
        fires=("UnseenFallBacks", "UnseenNoReplica"),
    )


def _of_learner() -> Fault:
    return Fault(
        name="the learner's rate is mistyped, from its start",
        begin=nothing,
        end=learns_again,
        lasts=True,
        fires=("UnseenGradientsSkipped", "UnseenNoSignal"),
    )


def _of_outage() -> Fault:
    return Fault(
        name="OpenSearch answers 429",
        begin=search_is(Broken(answer=http_answer(429, BUSY))),
        end=search_passes,
        fires=("UnseenSearchErrors", "UnseenNotLearning"),
    )


def _of_releases() -> Fault:
    return Fault(
        name="releases are paused",
        begin=records.releases_are_paused,
        end=records.releases_go_on,
        fires=("UnseenPaused",),
        meanwhile=(
            Fault(
                name="a version of two weeks ago serves",
                begin=records.an_old_version_serves,
                end=records.a_new_version_serves,
                fires=("UnseenVersionStale",),
                by_record=True,
            ),
            Fault(
                name="somebody promotes what the gate refused",
                begin=records.a_harmful_version_serves,
                end=records.it_is_rolled_back,
                fires=("UnseenVersionAlarm", "UnseenHarm", "UnseenLossBudgetSpent"),
                after=("UnseenRolledBack",),
                by_record=True,
            ),
            Fault(
                name="few shoppers of a trial click",
                begin=records.a_trial_goes_badly,
                end=records.it_is_decided,
                fires=("UnseenTrialDoubted",),
                by_record=True,
            ),
        ),
    )


def _of_verifier() -> Fault:
    return Fault(
        name="the verifier is killed",
        begin=killed("verifier"),
        end=started("verifier"),
        fires=("UnseenProcessDown", "UnseenSilent"),
    )


def _of_events(sale: Ways) -> Lane:
    return (
        Fault(
            name="an entry that nobody can read",
            begin=unreadable_entry,
            end=letters_dropped,
            fires=("UnseenDeadLetters",),
        ),
        Fault(
            name="a part of the shop sends ids of its own",
            begin=sale[0],
            end=sale[1],
            fires=("UnseenDropping",),
        ),
    )


def _of_arms() -> Fault:
    return Fault(
        name="shoppers with rewrites click less",
        begin=records.treated_shoppers_do_less,
        end=records.treated_shoppers_do_as_much,
        fires=("UnseenLiftLost", "UnseenAbandonmentUp"),
        by_record=True,
    )


def _of_exporter() -> Fault:
    return Fault(
        name="the exporter's user may not read verdicts",
        begin=watcher_may("-hscan"),
        end=watcher_may("+hscan"),
        fires=("UnseenNotCompared",),
    )


def _of_redis() -> Lane:
    return (
        Fault(
            name="Redis is nearly full",
            begin=redis_is_bounded(NEARLY_FULL),
            end=redis_is_bounded(0),
            fires=("UnseenStoreFull", "UnseenShedding"),
        ),
        Fault(
            name="Redis refuses connections",
            begin=redis_refuses,
            end=redis_passes,
            fires=(
                "UnseenStoreUnreadable",
                "UnseenCacheFails",
                "UnseenImpressionsLost",
                "UnseenCollectorFails",
                "UnseenVerifierFails",
                "UnseenReleaseFails",
            ),
        ),
    )


def _last(another: Ways) -> tuple[Lane, ...]:
    return (
        (
            Fault(
                name="the collector is killed",
                begin=killed("collector"),
                end=started("collector"),
                fires=("UnseenLag", "UnseenPartitionsUnowned"),
            ),
        ),
        (
            Fault(
                name="Prometheus finds the learner no more",
                begin=target_lost("learner"),
                end=targets_found,
                fires=("UnseenProcessMissing",),
            ),
        ),
        (
            Fault(
                name="a version on trial is torn",
                begin=records.a_torn_version_is_on_trial,
                end=records.the_trial_is_ended,
                fires=("UnseenWeightsFail", "UnseenRewriterFails"),
            ),
            Fault(
                name="a replica does not reach the folder of weights",
                begin=another[0],
                end=another[1],
                fires=("UnseenReplicasDiffer",),
            ),
        ),
    )
