"""The commands of the quarantine on a real Redis: what they say, and that they name nobody."""

import json
from collections.abc import Iterator

import pytest
from redis import Redis
from serve_fakes import SECRET
from typer.testing import CliRunner, Result

from agent.cli import app
from feedback.access import Signer
from feedback.errors import Permanent
from feedback.keys import Keys
from feedback.text import digest

CLIENT = "client-of-a-botnet"


@pytest.fixture
def redis(redis_url: str, tenant: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setenv("UNSEEN_TENANT", tenant)
    monkeypatch.setenv("UNSEEN_REDIS__STATE_URL", redis_url)
    monkeypatch.setenv("UNSEEN_ACCESS__SECRET", SECRET)
    connection = Redis.from_url(redis_url)
    yield connection
    for key in connection.scan_iter(f"unseen:{{{tenant}*"):
        connection.delete(key)
    connection.close()


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["quarantine", *words])


@pytest.mark.usefixtures("redis")
def test_a_client_goes_in_by_its_id_is_listed_by_its_digest_and_comes_out(tenant: str) -> None:
    known_as = digest(Signer(SECRET, Keys(tenant=tenant)).client(CLIENT))  # by the edge, so by the ledger
    assert run("list").output == "nobody is in quarantine\n"
    assert json.loads(run("add", "--client", CLIENT, "--why", "it floods", "--json").output) == {
        "quarantined": 1
    }
    listed = run("list", "--json")
    (found,) = json.loads(listed.output)["clients"]
    assert (found["client"], found["reason"], found["released"]) == (known_as, "it floods", False)
    assert known_as in run("list").output
    assert CLIENT not in listed.output + run("list").output
    assert run("release", known_as, "--by", "me").output == "1 released\n"
    assert json.loads(run("list", "--json").output) == {"clients": []}
    assert json.loads(run("list", "--all", "--json").output)["clients"][0]["by"] == "me"


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add",), "name a client"),
        (("add", CLIENT), "is no digest"),
        (("release", digest(CLIENT)), "is not in quarantine"),
        (("release", "--ring", "0" * 16), "name a client"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(words: tuple[str, ...], says: str) -> None:
    found = run(*words)
    assert isinstance(found.exception, Permanent)
    assert says in str(found.exception)
    assert run("list", "--all").output == "nobody is in quarantine\n"
