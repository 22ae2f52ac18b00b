"""What documents tell to type, typed: searches, events, and every command of a shop that runs.

The shop is small: a real Redis, the stand-in for OpenSearch, a rewriter that says one word. What takes a data
set, a real model or minutes runs elsewhere (`ELSEWHERE`); processes (`LASTING`) are started by the demo's
test.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from chromium import Loop
from documents import ROOT, Command, blocks, documents, kind, shell
from fastapi import FastAPI
from log_clicks import click
from redis.asyncio import Redis
from serve_fakes import FakeRewriter
from typer.testing import CliRunner

from agent.cli import app as cli
from agent.console import add_console
from agent.retrieval import Catalogue
from agent.sections import ServeSettings
from agent.serve import admin
from agent.serve.assemble import assemble
from agent.serve.gateway import make_app
from agent.settings import Settings
from feedback.clock import wall_clock
from feedback.collecting.collector import Collector
from feedback.stores import connect, forget
from tests.service import console_shop

pytestmark = pytest.mark.timeout(180, func_only=True)
EVENTS = Path("agent/serve/EVENTS.md")
JUDGED = 24
LASTING = {"serve", "collector", "verifier", "learner", "release", "exporter"}
ELSEWHERE = {
    "demo": "tests/story/test_readme.py",
    "backtest": "tests/story/test_readme.py",
    "train": "tests/story/test_readme.py",
    "evaluate": "tests/story/test_readme.py",
    "replay": "tests/learning/test_learner_replay.py",
    "import": "tests/service/test_import_logs.py",
}
"""By command: the test that runs it."""
ENDLESS = {"--watch", "--follow"}
CHANGES = ("pause", "promote", "rollback", "forget", "rotate-secret")
"""What takes something away comes last, in this order."""
MAY_COMPLAIN = {"doctor"}
"""Exit code 1 says what is not well, here that no process runs."""


@dataclass
class Shop:
    """What is typed against."""

    url: str
    settings: Settings
    redis: Redis
    query_id: str = ""


def settings_of(redis_url: str, opensearch_url: str, folder: Path, tenant: str) -> Settings:
    """Return the console's shop, open and with one client enough."""
    given = console_shop.settings_of(redis_url, opensearch_url, folder, tenant)
    feedback = given.feedback.model_copy(update={"min_clients": 1})
    access = type(given.access)()
    policy = given.policy.model_copy(update={"model": "tiny"})
    return given.model_copy(update={"feedback": feedback, "access": access, "policy": policy})


def yesterday() -> int:
    return wall_clock() - 86_400_000


@asynccontextmanager
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    """Give the shop, seeded and served at a port of its own."""
    redis = connect(settings.redis.state_url)
    async with Catalogue(settings.opensearch) as catalogue:
        await catalogue.create_index()
        await catalogue.load(console_shop.PRODUCTS)
        await console_shop.seed(redis, settings)
        for object_id in ("sofa1", "sofa2"):  # what a half-life is told by: a day before, too
            await click(redis, settings, yesterday, count(1000), query="couch", object_id=object_id)
        parts = assemble(settings, FakeRewriter("lamp"))
        app: FastAPI = make_app(parts, has_admin_port=True)
        add_console(app, parts)
        async with (
            app.router.lifespan_context(app),
            admin.serving(app, ServeSettings(admin_port=0)) as url,
        ):
            yield Shop(url, settings, redis)
        await catalogue.drop_index()
    await forget(redis, settings.tenant)
    await redis.aclose()


@pytest.fixture(scope="module")
def served(
    loop: Loop, redis_url: str, fake_opensearch_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("documents")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console_shop, "JUDGED", JUDGED)
        settings = settings_of(redis_url, fake_opensearch_url, folder, f"documents{os.getpid()}")
        running = shop(settings)
        yield loop.run(running.__aenter__(), 60)
        loop.run(running.__aexit__(None, None, None), 60)


def commands(program: str) -> list[Command]:
    """Return each command of a program that a block of a document holds, once."""
    found = {
        command.words: command
        for document in documents()
        for block in blocks(document)
        if kind(block) == "shell"
        for command in shell(block)
        if command.program.removeprefix(".venv/bin/") == program
    }
    return list(found.values())


def curls() -> list[Command]:
    """Return those that ask a gateway: of no template of the reader's own, and of no admin port."""
    return [
        c for c in commands("curl") if ":8000" in " ".join(c.words) and '"params"' not in " ".join(c.words)
    ]


def ask(shop: Shop, command: Command) -> dict[str, Any]:
    """Type a curl of the documents at this shop; return what it answers."""
    typed = shlex.join(command.words).replace("localhost:8000", shop.url.removeprefix("http://"))
    done = subprocess.run(
        ["bash", "-euc", re.sub(r"03-5f0c…", shop.query_id, typed)],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return dict(json.loads(done.stdout))


def test_searches_and_events_are_taken_as_the_documents_send_them(served: Shop, loop: Loop) -> None:
    searches = [c for c in curls() if "/search" in " ".join(c.words)]
    events = [c for c in curls() if "/events" in " ".join(c.words)]
    assert len(searches) >= 3
    assert events
    assert len(searches) + len(events) == len(curls())
    for command in searches:
        page = ask(served, command)
        assert page["hits"], command
        served.query_id = page["query_id"]
    for command in events:
        assert ask(served, command)["accepted"] == 1, command
    told = {"action_name": "click", "query_id": served.query_id, "client_id": "c-17", "object_id": "sofa1"}
    answer = httpx.post(f"{served.url}/events", json=told | {"event_id": "e-81", "ordinal": 1})
    assert answer.status_code == 202
    loop.run(collect(served), 60)


def post(shop: Shop, path: str, body: Any) -> httpx.Response:  # noqa: ANN401 - JSON
    return httpx.post(f"{shop.url}{path}", json=body, timeout=20)


def now(text: str, query_id: str) -> Any:  # noqa: ANN401 - JSON
    """Return an example as of today: a page of this shop, and the time at which the test runs."""
    iso = datetime.fromtimestamp(wall_clock() / 1000, UTC).isoformat(timespec="seconds")
    text = re.sub(r"2026-11-23T09:30:00(Z|\+01:00)", iso, text).replace("1795426200000", str(wall_clock()))
    return json.loads(text.replace("03-5f0c…", query_id))


def test_events_are_taken_and_refused_as_the_examples_say(served: Shop) -> None:
    asked = {"user_query": "grey couch", "client_id": "c-17"}
    query_id = post(served, "/search", asked).json()["query_id"]
    examples = [block.text for block in blocks(EVENTS) if kind(block) == "json"]
    for text in examples:
        path = "/queries" if "query_response_hit_ids" in text else "/events"
        reported = post(served, "/rewrite", asked | {"size": 2}).json()["query_id"]
        body = now(text, reported if path == "/queries" else query_id)
        answer = post(served, path, body)
        assert answer.status_code == 202, (text, answer.text)
        assert answer.json() == {"accepted": len(body.get("events", [body]))}
    refused = re.findall(r"^\| `(\{.+\})` \| (.+) \|$", (ROOT / EVENTS).read_text(), re.MULTILINE)
    assert (len(examples), len(refused)) == (10, 8)
    for text, reason in refused:
        answer = post(served, "/events", now(text, query_id))
        assert answer.status_code == 422, text
        assert answer.json()["refused"] == [{"index": 0, "reason": reason}]


async def collect(shop: Shop) -> None:
    collector = Collector(shop.redis, shop.settings.keys, shop.settings.feedback, wall_clock)
    while await collector.step():
        pass
    await collector.release()


def toml(settings: Settings) -> str:
    """Return the shop's settings as a file."""
    search = settings.opensearch
    return "\n".join(
        [
            f'tenant = "{settings.tenant}"',
            f'data_dir = "{settings.data_dir}"',
            f'redis = {{state_url = "{settings.redis.state_url}", partitions = {settings.redis.partitions}}}',
            f'opensearch = {{url = "{search.url}", index = "{search.index}", fields = ["title"]}}',
            "feedback = {min_clients = 1}",
            'policy = {model = "tiny"}',
        ]
    )


def order(command: Command) -> int:
    return CHANGES.index(command.words[1]) + 1 if command.words[1] in CHANGES else 0


def ours() -> list[Command]:
    """Return what is typed here: what looks first, then what changes."""
    found = [c for c in commands("unseen") if c.words[1] not in LASTING | ELSEWHERE.keys()]
    return sorted(found, key=order)


def test_every_command_of_the_documents_runs_against_a_shop(
    served: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: Loop
) -> None:
    if not served.query_id:
        test_searches_and_events_are_taken_as_the_documents_send_them(served, loop)
    (tmp_path / "unseen.toml").write_text(toml(served.settings))
    monkeypatch.setenv("UNSEEN_CONFIG", str(tmp_path / "unseen.toml"))
    monkeypatch.chdir(tmp_path)
    failed = []
    for command in ours():
        words = [word for word in command.words[1:] if word not in ENDLESS]
        id_ = "e-81" if "--event-id" in words else served.query_id
        words = [{"ID": id_, "12": "3", "11": "1"}.get(word, word) for word in words]
        done = CliRunner().invoke(cli, words, input="y\n", catch_exceptions=True)
        allowed = {0, 1} if words[0] in MAY_COMPLAIN else {0}
        crashed = done.exception is not None and not isinstance(done.exception, SystemExit)
        if done.exit_code not in allowed or crashed or not done.output.strip():
            failed.append(f"{shlex.join(words)}: {done.exit_code} {done.exception!r}\n{done.output[-800:]}")
    assert "\n".join(failed) == ""


def test_what_runs_elsewhere_runs_there() -> None:
    for name, place in ELSEWHERE.items():
        assert f'"{name}"' in (ROOT / place).read_text(), name
    named = {command.words[1] for command in commands("unseen")}
    assert {"versions", "explain", "forget", "doctor", "status"} <= named - LASTING - ELSEWHERE.keys()
    assert order(ours()[-1]) > 0
