"""What shoppers gain over holdback, where, and whether it is what was promised."""

from boards.shared import AMBER, GOOD_UP, GREEN, RED, panel, row


def lift(measure: str, of: str) -> str:
    """Return the selector of a measure's lift."""
    return f'unseen_shop_lift_ratio{{T, measure="{measure}", {of}}}'


GOOD_DOWN = [(None, GREEN), (0, RED)]
PANELS = [
    row("All arms against holdback (mean and 95 % interval, by client)"),
    *(
        panel(
            title,
            f"{what} a page of all treated arms, relative to holdback's.",
            "percentunit",
            (lift(measure, 'arm="treated", by="all"'), "{{bound}}"),
            kind="stat",
            steps=steps,
        )
        for title, what, measure, steps in (
            ("Clicks", "Pages with a click", "clicks", GOOD_UP),
            ("Purchases", "Pages with a purchase", "purchases", GOOD_UP),
            ("Abandonment", "Pages without a click", "abandoned", GOOD_DOWN),
        )
    ),
    panel(
        "Clicks over time",
        "The same as it was measured; an interval that holds 0 says nothing yet.",
        "percentunit",
        (lift("clicks", 'arm="treated", by="all"'), "{{bound}}"),
    ),
    panel(
        "Purchases over time",
        "Fewer and later than clicks: a wide interval is to be expected.",
        "percentunit",
        (lift("purchases", 'arm="treated", by="all"'), "{{bound}}"),
    ),
    panel(
        "Abandonment over time",
        "Below 0 shoppers leave fewer pages without a click than in holdback.",
        "percentunit",
        (lift("abandoned", 'arm="treated", by="all"'), "{{bound}}"),
    ),
    row("Where"),
    panel(
        "Clicks, by arm",
        "stable and canary against pages of holdback that would not have explored, explore against those that would.",
        "percentunit",
        (lift("clicks", 'arm!="treated", by="all"'), "{{arm}} {{bound}}"),
    ),
    panel(
        "Clicks, by query frequency",
        "Head, torso and tail, the same queries on both sides.",
        "percentunit",
        (lift("clicks", 'by="band"'), "{{slice}} {{bound}}"),
    ),
    panel(
        "Clicks, by rung of the ladder",
        "Queries that this rung answered last, the same on both sides.",
        "percentunit",
        (lift("clicks", 'by="rung"'), "{{slice}} {{bound}}"),
    ),
    panel(
        "Click-through by arm",
        "Clicks a page as collectors applied them.",
        "percentunit",
        ("tenant_arm:unseen_click_through:ratio_rate30m{T}", "{{arm}}"),
    ),
    panel(
        "What shoppers do",
        "Clicks, baskets and purchases a second, rewritten pages and raw ones.",
        "ops",
        ("sum by (action, made) (rate(unseen_shop_actions_total{T}[I]))", "{{action}}, {{made}}"),
    ),
    panel(
        "Pages compared",
        "Of the ledger's newest rows, that the lift rests on; and its age.",
        "none",
        ("unseen_shop_compared_pages{T}", "{{arm}}"),
    ),
    row("Harm, and what was promised"),
    panel(
        "Harm",
        "Share of queries expected to be worse than raw: verified rewrites by their posterior; held-back queries of "
        "the serving version, at its gate.",
        "percentunit",
        ("unseen_shop_harm_ratio{T}", "{{by}}"),
        steps=[(None, GREEN), (0.05, AMBER), (0.25, RED)],
    ),
    panel(
        "Predicted gain",
        "DCG over raw: verified rewrites by their posterior mean, the serving version at least, a loan's terms.",
        "none",
        ("unseen_shop_predicted_gain_dcg{T}", "verified"),
        ("unseen_shop_version_gain_dcg{T}", "version: {{slot}}"),
        ("unseen_shop_loan_gain_dcg{T}", "loan: {{bound}}"),
    ),
    panel(
        "Predicted against realised gain",
        "slope: gain on new clicks over gain predicted from those before, of the version judged last; 1: as promised. "
        "trial: clicks of the version tried last against the one before.",
        "none",
        ('unseen_shop_figure_value{T, stage="gate", figure=~"slope|slope_high"}', "{{figure}}"),
        ("unseen_shop_version_lift_ratio{T}", "trial {{bound}}"),
    ),
    panel(
        "Verdicts",
        "Queries that were judged, by what they get.",
        "none",
        ("unseen_shop_verdicts{T}", "{{verdict}}"),
    ),
    panel(
        "Candidates",
        "Candidate rewrites judged a second; those that lack evidence and may be tried out.",
        "none",
        ("sum(rate(unseen_verifier_candidates_total{T}[I]))", "judged a second"),
        ("unseen_shop_proposed_candidates{T}", "proposed"),
    ),
    panel(
        "Explored",
        "Mean chance to explore of searches outside holdback, by how often the query is asked.",
        "percentunit",
        (
            (
                "sum by (band) (rate(unseen_explore_chances_total{T}[I])) "
                "/ sum by (band) (rate(unseen_explore_eligible_searches_total{T}[I]))"
            ),
            "{{band}}",
        ),
    ),
]
