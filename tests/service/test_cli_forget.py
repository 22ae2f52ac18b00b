"""`unseen forget` on a real Redis: says what it costs, asks, does it, drops what the client taught."""

import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from erased_worlds import GONE, NOW_MS, World, log_of, page_of
from redis.asyncio import Redis
from serve_fakes import SECRET
from stored_traces import files_of, places_of
from typer.testing import CliRunner

from agent.cli import app, main
from agent.weights.registry import Move, Registry
from agent.weights.store import AdapterStore
from feedback.access import Signer
from feedback.keys import Keys
from feedback.settings import FeedbackSettings
from feedback.stores import connect, forget
from feedback.text import digest
from feedback.version_records import Manifest, Trial

T = TypeVar("T")
FAR_MS = 10**14
"""After any row's arrival."""


class Shop:
    """A world whose Redis is asked outside of any event loop."""

    def __init__(self, url: str, tenant: str, folder: Path) -> None:
        self.url, self.keys, self.folder = url, Keys(tenant=tenant, partitions=2), folder
        self.store = AdapterStore(folder / tenant / "weights")

    def do(self, work: Callable[[World], Awaitable[T]]) -> T:
        async def run() -> T:
            redis: Redis = connect(self.url, 10.0)
            try:
                return await work(World(redis, self.keys, FeedbackSettings(min_clients=1)))
            finally:
                await redis.aclose()

        return asyncio.run(run())

    def play(self) -> None:
        async def work(world: World) -> None:
            await world.send(log_of(self.keys, [GONE, "ann"], pages=20, seed=4))
            await world.collect()

        self.do(work)

    def publish(self, version: int, *, made_at_ms: int, steps: int = 0, uri: str = "") -> Manifest:
        saved = self.store.save(version, {"a": torch.tensor([float(version)])})
        made = Manifest(
            version=version,
            parent=version - 1,
            base_model="tiny",
            prompt_version="v1",
            uri=uri or saved.uri,
            sha256=saved.sha256,
            n_bytes=saved.n_bytes,
            made_at_ms=made_at_ms,
            steps=steps,
        )
        self.do(lambda world: Registry(world.redis, self.keys).publish(made))
        return made

    def traces(self) -> list[Any]:
        words = [GONE, digest(GONE)]
        places = self.do(lambda world: places_of(world.redis, self.keys.tenant, words))
        return [*places, *files_of(self.folder, words)]

    def run(self, *args: str, answer: str | None = None) -> Any:  # noqa: ANN401
        return CliRunner().invoke(app, ["forget", "--pseudonym", GONE, *args], input=answer)


@pytest.fixture
def shop(redis_url: str, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("UNSEEN_REDIS__STATE_URL", redis_url)
    monkeypatch.setenv("UNSEEN_REDIS__PARTITIONS", "2")
    monkeypatch.setenv("UNSEEN_TENANT", tenant)
    monkeypatch.setenv("UNSEEN_DATA_DIR", str(tmp_path))
    shop = Shop(redis_url, tenant, tmp_path)
    shop.do(lambda world: world.redis.set(shop.keys.landmark(), f"{NOW_MS}:2.592e+06"))
    yield shop
    shop.do(lambda world: forget(world.redis, tenant))


def test_a_client_of_whom_nothing_is_known_is_no_error_and_changes_nothing(shop: Shop) -> None:
    told = shop.run()
    assert (told.exit_code, told.stdout) == (0, "nothing is known of this client: 0 rows\n")
    told = shop.run("--json", "--yes")
    said = json.loads(told.stdout)
    assert (told.exit_code, said["rows"], said["forgotten"], said["before_ms"]) == (0, 0, False, None)


def test_nothing_changes_on_a_dry_run_or_without_consent(shop: Shop) -> None:
    shop.play()
    shop.publish(1, made_at_ms=FAR_MS)
    before = shop.do(lambda world: world.hashes()), shop.traces()
    told = shop.run("--dry-run")
    assert told.exit_code == 0
    assert "versions taught by it: 1; deleted: 1" in told.stdout
    assert "rows" in told.stdout
    assert GONE not in told.stdout
    assert shop.run(answer="n\n").exit_code == 1
    assert (shop.do(lambda world: world.hashes()), shop.traces()) == before
    assert shop.do(lambda world: Registry(world.redis, shop.keys).versions()) != []


def test_once_confirmed_all_traces_go_and_the_versions_that_it_taught(shop: Shop) -> None:
    shop.play()
    clean = shop.publish(1, made_at_ms=5, steps=10)
    taught = shop.publish(2, made_at_ms=FAR_MS, steps=35)
    told = shop.run(answer="y\n")
    assert told.exit_code == 0, told.output
    assert "the learner goes back to version 1, or to a checkpoint since" in told.stdout
    assert "optimiser steps done again: 25 at most" in told.stdout
    assert shop.traces() == []
    assert shop.do(lambda world: Registry(world.redis, shop.keys).versions()) == [clean]
    assert shop.store.files.names() == [clean.uri]
    assert taught.uri != clean.uri
    (entry,) = shop.do(lambda world: Registry(world.redis, shop.keys).audit())
    assert (entry.did, entry.by) == ("forgot a client", getpass.getuser())
    assert shop.do(lambda world: world.redis.exists(shop.keys.rewind()))


def test_what_serves_or_is_on_trial_goes_on_with_its_file_and_the_output_says_how_to_end_it(
    shop: Shop,
) -> None:
    shop.play()
    shared = shop.publish(1, made_at_ms=FAR_MS)
    shop.publish(2, made_at_ms=FAR_MS, uri=shared.uri)
    shop.publish(3, made_at_ms=FAR_MS)

    async def serve(world: World) -> None:
        registry = Registry(world.redis, shop.keys)
        await registry.move(Move(stable=0, trial=0, serve=2))
        trial = Trial(version=3, stable=2, share=0.1, began_at_ms=0)
        await registry.move(Move(stable=2, trial=0, begin=trial))

    shop.do(serve)
    told = shop.run("--dry-run")
    assert "version 2, taught by it too, serves until" in told.stdout
    assert "version 3, taught by it too, is on trial until" in told.stdout
    assert "`unseen rollback` takes it out at once" in told.stdout
    said = json.loads(shop.run("--yes", "--json", "--by", "eve").stdout)
    assert (said["taught"], said["dropped"]) == ([1, 2, 3], [1])
    assert (said["serving"], said["on_trial"], said["forgotten"]) == (2, 3, True)
    assert shop.store.files.get(shared.uri) is not None
    (entry,) = shop.do(lambda world: Registry(world.redis, shop.keys).audit())
    assert entry.by == "eve"


def test_an_erasure_that_was_killed_after_the_data_is_finished(shop: Shop) -> None:
    shop.play()
    shop.publish(1, made_at_ms=FAR_MS)

    async def half(world: World) -> None:
        await world.eraser.erase(GONE)  # and no versions dropped, and the learner not told

    shop.do(half)
    told = shop.run("--yes")
    assert told.exit_code == 0
    assert "an earlier erasure is to be finished" in told.stdout
    assert shop.do(lambda world: Registry(world.redis, shop.keys).versions()) == []
    assert shop.do(lambda world: world.redis.exists(shop.keys.rewind()))
    assert "0 rows" in shop.run("--yes").stdout


def test_another_erasure_is_an_error_of_one_line(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def begin(world: World) -> None:
        await world.send([page_of(shop.keys, GONE, "couch", "AB", NOW_MS)])
        await world.collect()
        await world.redis.set(shop.keys.lease("erasure"), "another")

    shop.do(begin)
    assert "another erasure runs" in failure(["--pseudonym", GONE, "--yes"], monkeypatch, capsys)


def failure(args: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the program and return its last line on the error stream."""
    monkeypatch.setattr(sys, "argv", ["unseen", "forget", *args])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_an_empty_id_and_a_redis_that_is_away_are_errors_of_one_line(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure(["--client", ""], monkeypatch, capsys) == "unseen: client: the id is empty"
    monkeypatch.setenv("UNSEEN_REDIS__STATE_URL", "redis://127.0.0.1:1/0")
    assert failure(["--pseudonym", GONE], monkeypatch, capsys).startswith("unseen: redis: ")


def test_a_client_is_named_as_the_shop_names_it_and_found_by_its_pseudonym(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "data_dir" in failure(["--client", "c-17"], monkeypatch, capsys)  # no secret, nothing is made
    assert not (shop.folder / "secrets").exists()
    monkeypatch.setenv("UNSEEN_ACCESS__SECRET", SECRET)
    known = Signer(SECRET, shop.keys).client("c-17")

    async def show(world: World) -> None:
        await world.send([page_of(shop.keys, known, "couch", "AB", NOW_MS)])
        await world.collect()

    shop.do(show)
    told = CliRunner().invoke(app, ["forget", "--client", "c-18", "--json", "--yes"])
    assert json.loads(told.stdout)["forgotten"] is False
    told = CliRunner().invoke(app, ["forget", "--client", "c-17", "--json", "--yes"])
    assert json.loads(told.stdout)["forgotten"] is True
    assert shop.do(lambda world: places_of(world.redis, shop.keys.tenant, [known, digest(known)])) == []
