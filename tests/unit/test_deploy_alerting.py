"""How an alert reaches a person: every severity has a way, and Prometheus knows whom to tell."""

from typing import Any

import pytest
import yaml
from deployed import DEPLOY, compose
from watched import PROMETHEUS, rules

CONFIG = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
RECEIVERS = {one["name"]: one for one in CONFIG["receivers"]}
SEVERITIES = {rule["labels"]["severity"] for rule in rules() if "alert" in rule}
OVERLAY = compose("compose.alertmanager.yaml")["services"]


def config(place: str) -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / place / "prometheus.yml").read_text()))


def test_every_severity_has_a_route_of_its_own_to_a_receiver_that_is_there() -> None:
    routes = CONFIG["route"]["routes"]
    assert sorted(one["matchers"][0] for one in routes) == sorted(f'severity="{s}"' for s in SEVERITIES)
    assert all(len(one["matchers"]) == 1 for one in routes)
    assert {CONFIG["route"]["receiver"], *(one["receiver"] for one in routes)} == set(RECEIVERS)


def test_only_what_nobody_need_see_goes_to_nobody() -> None:
    silent = {name for name, one in RECEIVERS.items() if set(one) == {"name"}}
    to = {one["matchers"][0]: one["receiver"] for one in CONFIG["route"]["routes"]}
    assert {severity for severity, receiver in to.items() if receiver in silent} == {'severity="info"'}
    assert to['severity="page"'] != to['severity="ticket"']
    assert CONFIG["route"]["receiver"] not in silent  # of what has no severity


@pytest.mark.parametrize("place", ["prometheus", "compose"])
def test_prometheus_tells_whom_a_file_names_and_takes_its_own_label_off(place: str) -> None:
    alerting = config(place)["alerting"]
    assert alerting["alertmanagers"] == [{"file_sd_configs": [{"files": ["alertmanagers.yml"]}]}]
    assert alerting["alert_relabel_configs"] == [{"action": "labeldrop", "regex": "docs"}]


def test_nobody_is_told_until_somebody_says_whom() -> None:
    assert yaml.safe_load((PROMETHEUS / "alertmanagers.yml").read_text()) == []
    mounted = " ".join(compose()["services"]["prometheus"]["volumes"])
    assert "alertmanager" not in mounted


def test_compose_tells_the_service_that_its_overlay_brings() -> None:
    ((target,),) = (
        one["targets"] for one in yaml.safe_load((DEPLOY / "compose/alertmanagers.yml").read_text())
    )
    name, _, port = target.partition(":")
    assert OVERLAY[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f":{port}/" in " ".join(OVERLAY[name]["healthcheck"]["test"])
    assert set(OVERLAY[name]["networks"]) == {"inner", "edge"}
    assert OVERLAY["prometheus"]["volumes"] == [
        "./alertmanagers.yml:/etc/prometheus/alertmanagers.yml:ro"
    ]  # beside its configuration
