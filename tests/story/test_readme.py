"""The README's commands as a newcomer types them; the long ones in their `--quick` form."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_server import Server, program
from report_html import Parsed
from watched import asked, executable
from watched_week import write_a_week

from agent.demo.stack import Stack
from agent.settings import Settings
from tests.service.backtest_log import catalogue, clicks

ROOT = Path(__file__).parents[2]
UNSEEN = [sys.executable, "-m", "agent.cli"]
QUICK_S = 400


def run(*arguments: str, timeout_s: float = QUICK_S) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNSEEN, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )


class Demo:
    """`unseen demo --quick --keep`, watched by a Prometheus where there is one."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.report = folder / "demo.json"
        self._log = folder / "demo.log"
        self.prometheus = Server(stack, folder) if shutil.which("prometheus") else None
        targets = self.prometheus.targets if self.prometheus else folder / "targets.yml"
        options = ("--quick", "--keep", "--report", str(self.report), "--targets", str(targets))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*UNSEEN, "demo", *options], cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    def output(self) -> str:
        return self._log.read_text()

    def until_judged(self) -> None:
        deadline = time.monotonic() + QUICK_S
        while "Still serving" not in self.output():
            assert self._process.poll() is None, self.output()[-6000:]
            assert time.monotonic() < deadline, self.output()[-6000:]
            time.sleep(0.5)  # nothing else tells

    def settings(self) -> Settings:
        """Return those of its processes, as the collector was given them."""
        for child in psutil.Process(self._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.cmdline()[-1:] == ["collector"]:
                    own = {k: v for k, v in child.environ().items() if k.startswith("UNSEEN_")}
                    with pytest.MonkeyPatch.context() as patch:
                        for name, value in own.items():
                            patch.setenv(name, value)
                        return Settings.load()
        raise AssertionError("no collector runs")

    def end(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo"), stack)
    try:
        running.until_judged()
        yield running
    finally:
        status = running.end()
    assert status == 130


def test_every_target_that_the_readme_names_is_in_the_makefile() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    named = {word.strip("`.,;:)") for line in readme.split("make ")[1:] for word in line.split()[:1]}
    assert {"demo", "test"} <= named
    assert all(f"\n{target}:" in makefile for target in named & {"demo", "test", "lint", "quick", "bench"})


@pytest.mark.timeout(QUICK_S + 60)
def test_the_demo_starts_the_whole_loop_learns_and_reports(demo: Demo) -> None:
    figures = json.loads(demo.report.read_text())
    assert set(figures["ndcg10"]) == {"raw", "learned", "oracle", "rm3", "click_memory", "synonyms"}
    assert figures["ndcg10"]["oracle"] > figures["ndcg10"]["raw"]
    assert figures["opensearch"] == "3.4.0"
    assert figures["requests"] > 100
    assert figures["clicks"] > 50
    assert figures["failed"] == 0
    assert figures["queries"] == figures["wins"] + figures["losses"] + figures["ties"] == 40
    assert "Open: without a key anybody on this machine may search and send events" in demo.output()
    assert "NDCG@10 on 40 queries that no shopper asked" in demo.output()
    assert len(figures["by_query"]) == 40
    assert figures["curves"][-1]["arms"]["holdback"][0] > 0
    page = Parsed(demo.report.with_suffix(".html").read_text())
    assert page.faults() == []
    assert "Lift over raw" in page.text


@pytest.mark.timeout(QUICK_S + 60)
def test_every_panel_and_every_rule_has_data_after_the_demo(demo: Demo) -> None:
    """What only days bring, verdicts of gate and trial, is written into the store by the code that does."""
    if demo.prometheus is None:
        program("prometheus")  # says why it is missing
    assert demo.prometheus is not None
    asyncio.run(write_a_week(demo.settings()))
    wanted = {"gate": 'unseen_shop_alarm_state{stage="gate"}', "trial": "unseen_shop_version_lift_ratio"}
    wanted["lift"] = 'unseen_shop_lift_ratio{by="all", arm="canary", measure="purchases"}'
    deadline = time.monotonic() + 60
    while missing := [name for name, expr in wanted.items() if not demo.prometheus.now(expr)]:
        assert time.monotonic() < deadline, missing
        time.sleep(0.5)  # until the exporter has compared and Prometheus has scraped
    time.sleep(3)  # and evaluated its rules
    jobs = {one["metric"]["job"] for one in demo.prometheus.series("up == 1")}
    assert jobs == {"gateway", "exporter", "collector", "verifier", "learner", "release"}
    empty = [(place, expr) for place, expr in asked() if not demo.prometheus.series(executable(expr))]
    assert not empty


@pytest.mark.timeout(180)
def test_ctrl_c_ends_everything_that_the_demo_started() -> None:
    before = {p.pid for p in psutil.process_iter()}
    demo = subprocess.Popen(
        [*UNSEEN, "demo"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(psutil.Process(demo.pid).children(recursive=True)) < 4 and time.monotonic() < deadline:
        time.sleep(0.2)  # nothing tells when the servers are up
    started = {p.pid for p in psutil.Process(demo.pid).children(recursive=True)} - before
    os.kill(demo.pid, signal.SIGINT)
    demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert started
    assert not {pid for pid in started if psutil.pid_exists(pid)}


@pytest.mark.timeout(QUICK_S + 60)
def test_a_backtest_reads_a_log_and_reports(tmp_path: Path) -> None:
    report = tmp_path / "backtest.json"
    files = ["--catalogue", str(catalogue(tmp_path)), "--clicks", str(clicks(tmp_path))]
    done = run("backtest", *files, "--learn-s", "0", "--report", str(report))
    assert done.returncode == 0, done.stderr[-6000:]
    figures = json.loads(report.read_text())
    assert {"ndcg10", "never_seen", "empty", "new_objects", "wins", "losses", "verified", "slices"} <= set(
        figures
    )
    page = Parsed(report.with_suffix(".html").read_text())
    assert page.faults() == []
    assert "Biggest wins" in page.text
    assert len(page.all("svg")) > 4


@pytest.mark.timeout(150)  # more than the command may take
def test_a_missing_file_is_one_line_that_names_it() -> None:
    done = run("backtest", "--catalogue", "nowhere.jsonl", "--clicks", "nowhere.tsv", timeout_s=120)
    assert done.returncode == 1
    assert "nowhere.jsonl" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(300)
def test_labels_teach_and_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSEEN_POLICY__MODEL", "tiny")
    products, labels = catalogue(tmp_path), tmp_path / "judgments.tsv"
    ids = [json.loads(line)["product_id"] for line in products.read_text().splitlines()]
    rows = [f"{split}\t{word}\t{ids[0]}\t3" for split, word in (("train", "oak"), ("dev", "oak screw"))]
    labels.write_text("\n".join(["split\tquery\tproduct_id\trelevance", *rows]))
    given = ("--catalogue", str(products), "--judgments", str(labels), "--store", str(tmp_path / "weights"))
    nothing = run("evaluate", *given, "--policies", "latest")
    assert nothing.returncode == 1
    assert "no version in" in nothing.stderr
    assert "Traceback" not in nothing.stderr
    trained = run("train", *given, "--minutes", "0.1", "--json")
    assert trained.returncode == 0, trained.stderr[-6000:]
    assert json.loads(trained.stdout)["updates"] > 0
    judged = run("evaluate", *given, "--policies", "raw,latest", "--json")
    assert judged.returncode == 0, judged.stderr[-6000:]
    assert set(json.loads(judged.stdout)["policies"]) == {"raw", "latest"}
