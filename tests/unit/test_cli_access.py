"""`unseen rotate-secret`: says what ends, asks, replaces the file."""

import json
from pathlib import Path

import pytest
from serve_fakes import SECRET
from typer.testing import CliRunner

from agent.cli import app
from agent.errors import Permanent
from agent.settings import Settings
from agent.signing import signer_of, with_secret
from feedback.access import make_secret, read_secret
from feedback.errors import Permanent as FeedbackPermanent


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNSEEN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("UNSEEN_TENANT", "shop")
    return tmp_path / "secrets" / "shop.key"


def test_it_says_what_ends_and_changes_nothing_without_consent(path: Path) -> None:
    made = make_secret(path)
    told = CliRunner().invoke(app, ["rotate-secret"], input="n\n")
    assert told.exit_code == 1
    for end in ("joins: ", "arms: ", "client tokens: ", "tracing: "):
        assert end in told.stderr
    assert read_secret(path) == made


def test_once_confirmed_the_file_is_another_one_and_no_output_holds_it(path: Path) -> None:
    made = make_secret(path)
    told = CliRunner().invoke(app, ["rotate-secret"], input="y\n")
    fresh = read_secret(path)
    assert (told.exit_code, fresh != made) == (0, True)
    assert "start every gateway anew" in told.stdout
    assert made not in told.output
    assert str(fresh) not in told.output
    said = json.loads(CliRunner().invoke(app, ["rotate-secret", "--yes", "--json"]).stdout)
    assert said["file"] == str(path)
    assert len(said["ended"]) == 4
    assert read_secret(path) != fresh


def test_where_there_is_no_file_or_a_setting_stands_above_it_that_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = CliRunner().invoke(app, ["rotate-secret", "--yes"])
    assert isinstance(told.exception, FeedbackPermanent | Permanent)
    assert "nothing to replace" in str(told.exception)
    made = make_secret(path)
    monkeypatch.setenv("UNSEEN_ACCESS__SECRET", SECRET)
    told = CliRunner().invoke(app, ["rotate-secret", "--yes"])
    assert "comes from this setting" in str(told.exception)
    assert read_secret(path) == made


def test_settings_carry_the_secret_to_other_machines_and_do_not_show_it(path: Path) -> None:
    settings = Settings.load()
    with pytest.raises(FeedbackPermanent, match="does not exist"):
        signer_of(settings)
    carried = with_secret(settings)
    assert with_secret(carried) is carried
    assert signer_of(carried).client("c") == signer_of(settings).client("c")
    made = str(read_secret(path))
    assert made not in repr(carried) + carried.model_dump_json()


def test_a_secret_from_the_environment_needs_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSEEN_ACCESS__SECRET", SECRET)
    signer_of(with_secret(Settings.load()))
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("SECRET", "short", "access.secret"),
        ("SERVER_KEYS", '["short"]', "access.server_keys"),
        ("PUBLIC_KEYS", '["pk-live-0001"]', "public_keys and origins"),
        ("ORIGINS", '["*"]', "access.origins"),
        ("ORIGINS", '["https://example.com/"]', "access.origins"),
        ("TRUSTED_PROXIES", '["10.0.0.1/8"]', "access.trusted_proxies"),
        ("TRUSTED_PROXIES", "10.0.0.0/8", "trusted_proxies|access"),
        ("ANONYMOUS_PER_MINUTE", "-1", "access.anonymous_per_minute"),
        ("BROWSER_ACTIONS", '["steal"]', "access.browser_actions"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str
) -> None:
    monkeypatch.setenv(f"UNSEEN_ACCESS__{name}", value)
    with pytest.raises(Permanent, match=named) as refused:
        Settings.load()
    assert name not in {"SECRET", "SERVER_KEYS"} or "short" not in str(refused.value).replace("too short", "")
