"""What is changed of the rules where a minute is a second, and what is not."""

import re
from pathlib import Path

import pytest
import yaml
from scaled_rules import scaled
from watched import ALERTS, RECORDING


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("        for: 2m", "        for: 2s"),
        ("        for: 1h", "        for: 10s"),  # 60 s would be longer than the longest
        ("        for: 30s", "        for: 30s"),
        ("rate(a_total[5m]) > 0.1", "rate(a_total[5s]) > 0.1"),
        ("a_loads offset 15m or b", "a_loads offset 10s or b"),
        ("increase(a_total[1h]) > 0", "increase(a_total[10s]) > 0"),
        ("max by (a) (lag_seconds) > 300", "max by (a) (lag_seconds) > 5"),
        ('age_seconds{slot="stable"} > 1209600', 'age_seconds{slot="stable"} > 20160'),
        ('p99_5m{stage="whole"} > 1', 'p99_5m{stage="whole"} > 1'),
        ("took_seconds > 1", "took_seconds > 1"),
        ("entries > 300", "entries > 300"),
        ("a_seconds_total > 300", "a_seconds_total > 300"),  # a sum, not an age
    ],
)
def test_time_alone_is_scaled(before: str, after: str) -> None:
    assert scaled(before) == after


@pytest.mark.parametrize("path", [ALERTS, RECORDING], ids=lambda path: path.name)
def test_rules_stay_the_same_rules(path: Path) -> None:
    before = path.read_text()
    after = scaled(before)
    assert not re.search(r"\[\d+[mhdw]\]|(for:|offset) \d+[mhdw]", after)
    numbers = re.compile(r"\b\d+(\.\d+)?[smhdw]?\b")
    assert numbers.sub("N", after) == numbers.sub("N", before)
    thresholds = [re.findall(r"[<>=] ([0-9.]+)$", rule["expr"]) for rule in _rules(before)]
    of_ages = [re.search(r"_seconds\S* > \d{2}", rule["expr"]) is not None for rule in _rules(before)]
    for rule, old, of_age in zip(_rules(after), thresholds, of_ages, strict=True):
        assert of_age or re.findall(r"[<>=] ([0-9.]+)$", rule["expr"]) == old


def _rules(text: str) -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
