"""Metrics are declared once, named after their units, and used; what is asked of them exists."""

import ast
import re
import runpy
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from deployed import objects, pods
from watched import (
    ALERTS,
    DASHBOARDS,
    DEPLOY,
    PROMETHEUS,
    ROOT,
    Declared,
    asked,
    dashboards,
    declared,
    executable,
    known,
    metric_files,
    names_in,
    panels,
    rules,
)

from agent.demo.watched import SHOWING

COMPONENT = "app.kubernetes.io/component"
DECLARED = list(declared())
UNITS = ("seconds", "ratio", "nats", "dcg", "state", "value", "norm")
THINGS = (
    *("searches", "per_second"),
    "requests",
    *("entries", "queries", "partitions", "versions", "version", "replicas", "fields", "clients", "pages"),
    *("candidates", "verdicts", "limit", "serving", "ranks", "seq", "loads", "clicks_per_search", "tried"),
    "gain",
)
"""That gauges count or name."""
ALERTING = [rule for rule in rules() if "alert" in rule]


def named(one: Declared | dict[str, Any]) -> str:
    return f"{one.module}.{one.variable}" if isinstance(one, Declared) else str(one["alert"])


def test_no_name_is_declared_twice() -> None:
    assert len(DECLARED) > 80
    twice = {name: n for name, n in Counter(one.family for one in DECLARED).items() if n > 1}
    assert not twice
    series = Counter(name for one in DECLARED for name in one.series)
    assert not {name: n for name, n in series.items() if n > 1}


@pytest.mark.parametrize("one", DECLARED, ids=named)
def test_a_name_says_whose_it_is_and_its_unit(one: Declared) -> None:
    assert re.fullmatch(r"unseen(_[a-z]+)+", one.family)
    if one.kind == "histogram":
        assert one.family.endswith("_seconds")
    elif one.kind == "gauge":
        assert one.family.endswith(tuple(f"_{end}" for end in (*UNITS, *THINGS)))
    else:
        assert one.kind == "counter"  # Prometheus' client adds _total
        assert not one.family.endswith(("_count", "_sum", "_total"))


@pytest.mark.parametrize("one", DECLARED, ids=named)
def test_help_is_a_sentence(one: Declared) -> None:
    assert len(one.help) > 10
    assert one.help.endswith(".")


def test_every_metric_is_used_and_declared_in_a_module_of_metrics() -> None:
    files = [path for top in ("agent", "feedback") for path in (ROOT / top).rglob("*.py")]
    used, declaring = Counter[str](), metric_files()
    for path in files:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        used.update({node.id for node in nodes if isinstance(node, ast.Name)})
        used.update({node.attr for node in nodes if isinstance(node, ast.Attribute)})
        assert path in declaring or not _makes_metrics(nodes), path
    used.subtract(one.variable for one in DECLARED)  # where it is declared
    assert [named(one) for one in DECLARED if used[one.variable] < 1] == []


def _makes_metrics(nodes: Iterable[ast.AST]) -> bool:
    imported = (node for node in nodes if isinstance(node, ast.ImportFrom))
    names = {alias.name for node in imported if node.module == "prometheus_client" for alias in node.names}
    return bool(names & {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"})


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ('sum by (le, job) (rate(a_bucket{job="b", c=~"d.*"}[5m]))', {"a_bucket"}),
        ("(x > 0) and on (tenant) (y == 0)", {"x", "y"}),
        ("level:metric:rate5m / ignoring(a) group_left(b) z", {"level:metric:rate5m", "z"}),
        ("histogram_quantile(0.99, q) or vector(0)", {"q"}),
        ("a - (a offset 15m or 0 * b)", {"a", "b"}),
    ],
)
def test_the_names_of_an_expression_are_found(expr: str, names: set[str]) -> None:
    assert names_in(expr) == names


def test_a_comparison_becomes_a_value() -> None:
    assert executable('a{b!="c", d=~"$tenant"} > 1 and e[$__rate_interval] == 0') == (
        'a{b!="c", d=~".*"} > bool 1 and e[1m] == bool 0'
    )


def test_absence_becomes_presence() -> None:
    assert executable('absent(up{job="a"}) or b') == 'group(up{job="a"}) or b'


def test_no_rule_and_no_panel_names_an_unknown_metric() -> None:
    everything, names = list(asked()), known()
    assert len(everything) > 150
    unknown = {(place, name) for place, expr in everything for name in names_in(expr) - names}
    assert not unknown
    assert all(names_in(expr) for _, expr in everything)


def test_what_is_recorded_is_asked_for() -> None:
    asked_for = {name for _, expr in asked() for name in names_in(expr)}
    assert {rule["record"] for rule in rules() if "record" in rule} <= asked_for


@pytest.mark.parametrize("rule", ALERTING, ids=named)
def test_an_alert_says_how_urgent_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket", "info"}
    assert rule["annotations"]["summary"]
    page, _, section = rule["annotations"]["runbook_url"].partition("#")
    assert page == "{{ $externalLabels.docs }}deploy/runbook.md"
    assert section == rule["alert"].lower()


def test_the_runbook_has_one_section_an_alert_that_says_what_to_do() -> None:
    sections = (DEPLOY / "runbook.md").read_text().split("\n## ")[1:]
    assert [section.splitlines()[0] for section in sections] == [rule["alert"] for rule in ALERTING]
    for section in sections:
        assert all(word in section.lower() for word in ("**means**", "look**", "do**")), section


def test_every_alert_has_a_test_in_which_it_fires_alone() -> None:
    cases = yaml.safe_load((PROMETHEUS / "tests/alerts.yml").read_text())["tests"]
    fires = [case["promql_expr_test"][0]["exp_samples"][0] for case in cases[1:]]
    assert [one["labels"] for one in fires] == [f'{{alertname="{rule["alert"]}"}}' for rule in ALERTING]
    assert cases[0]["promql_expr_test"][0]["exp_samples"][0]["value"] == 0  # and all is well


def test_dashboards_are_what_their_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    script = DEPLOY / "grafana/write.py"
    monkeypatch.syspath_prepend(script.parent)  # as `python` does with a script's folder
    text = runpy.run_path(str(script))["text"]
    for path in sorted(DASHBOARDS.glob("*.json")):
        assert text(path.stem) == path.read_text(), f"python {script.relative_to(ROOT)}"


def test_dashboards_are_alike() -> None:
    found = list(dashboards())
    titles = {one["title"].removeprefix("Unseen: ") for one in found}
    assert titles == {"Search", "Lift", "Feedback", "Learning", "Releases"}
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())
    (uid,) = (one["uid"] for one in source["datasources"])
    assert len({one["uid"] for one in found}) == len(found)
    for dashboard in found:
        assert [one["name"] for one in dashboard["templating"]["list"]] == ["tenant"]
        for panel in panels(dashboard):
            assert panel["description"].endswith("."), panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["datasource"]["uid"] == uid
            assert all(target["legendFormat"] and "$tenant" in target["expr"] for target in panel["targets"])


def test_panels_do_not_overlap() -> None:
    for dashboard in dashboards():
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not taken & cells, panel["title"]
            assert place["x"] + place["w"] <= 24
            taken |= cells


def test_a_missing_process_is_one_of_those_that_every_way_of_running_it_has() -> None:
    by_name = {rule["alert"]: rule["expr"] for rule in ALERTING}
    asked_for = re.findall(r'absent\(up\{job="(\w+)"\}\)', by_name["UnseenProcessMissing"])
    down = re.findall(r'job=~"([\w|]+)"', by_name["UnseenProcessDown"])
    assert "|".join(asked_for) == down[0]
    compose = yaml.safe_load((DEPLOY / "compose/prometheus.yml").read_text())["scrape_configs"]
    targets = yaml.safe_load((PROMETHEUS / "targets/processes.yml").read_text())
    components = {labels[COMPONENT] for _, labels, _ in pods(objects(DEPLOY / "kubernetes/base"))}
    units = {path.stem.removeprefix("unseen-").rstrip("@") for path in (DEPLOY / "systemd").glob("*.service")}
    everywhere = (
        {one["job_name"] for one in compose},
        {one["labels"]["job"] for one in targets},
        {"gateway", *SHOWING},
        components - {"redis", "ray-head"},
        units - {"serve"} | {"gateway"},
    )
    assert [jobs ^ set(asked_for) for jobs in everywhere] == [set()] * 5


def test_targets_name_the_ports_that_the_settings_explain() -> None:
    targets = yaml.safe_load((PROMETHEUS / "targets/processes.yml").read_text())
    jobs = {one["labels"]["job"]: one["targets"][0].rpartition(":")[2] for one in targets}
    assert set(jobs) == {"gateway", "exporter", "collector", "verifier", "learner", "release"}
    assert len(set(jobs.values())) == len(jobs)
    said = (DEPLOY / "README.md").read_text()
    assert all(port in said for job, port in jobs.items() if job not in ("gateway", "exporter"))
    assert ALERTS.exists()
