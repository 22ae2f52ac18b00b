"""The README's commands as a newcomer types them; the long ones in their `--quick` form."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.service.backtest_log import catalogue, clicks

ROOT = Path(__file__).parents[2]
UNSEEN = [sys.executable, "-m", "agent.cli"]
QUICK_S = 400


def run(*arguments: str, timeout_s: float = QUICK_S) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNSEEN, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def test_every_target_that_the_readme_names_is_in_the_makefile() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    named = {word.strip("`.,;:)") for line in readme.split("make ")[1:] for word in line.split()[:1]}
    assert {"demo", "test"} <= named
    assert all(f"\n{target}:" in makefile for target in named & {"demo", "test", "lint", "quick", "bench"})


@pytest.mark.timeout(QUICK_S + 60)
def test_the_demo_starts_the_whole_loop_learns_and_reports(tmp_path: Path) -> None:
    report = tmp_path / "demo.json"
    done = run("demo", "--quick", "--report", str(report))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    figures = json.loads(report.read_text())
    assert set(figures["ndcg10"]) == {"raw", "learned", "oracle", "rm3", "click_memory", "synonyms"}
    assert figures["ndcg10"]["oracle"] > figures["ndcg10"]["raw"]
    assert figures["opensearch"] == "3.4.0"
    assert figures["requests"] > 100
    assert figures["clicks"] > 50
    assert figures["failed"] == 0
    assert figures["queries"] == figures["wins"] + figures["losses"] + figures["ties"] == 40
    assert "NDCG@10 on 40 queries that no shopper asked" in done.stdout


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
    assert report.with_suffix(".png").stat().st_size > 1000


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
