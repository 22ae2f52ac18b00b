"""What cannot be meant is refused, with the place named."""

from pathlib import Path

import pytest

from agent.errors import Permanent
from agent.settings import Settings


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "unseen.toml"
    path.write_text(text)
    return Settings.load(path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[serve]\nmin_policy_gain = nan", "serve.min_policy_gain"),
        ("[serve]\ncache_ttl_s = inf", "serve.cache_ttl_s"),
        ("[serve]\nholdback_share = 0.6\nexplore_share = 0.6", "holdback_share and explore_share"),
        ("[serve]\nport = 99999", "serve.port"),
        ("[serve]\ndeadline = 1", "serve.deadline"),
        ("[feedback]\nexamination = []", "feedback.examination"),
        ("[feedback]\nexamination = [1.0, -0.1]", "feedback.examination.1"),
        ("[feedback]\njoin_window_s = inf", "feedback.join_window_s"),
        ("[feedback.action_weight]\nclicks = 1", "feedback.action_weight.clicks"),
        ("[feedback.action_weight]\nclick = nan", "feedback.action_weight.click"),
        ("_env_file = 'x'", "_env_file"),
        ("[searching]\nx = 1", "searching"),
        ("[serve", "unseen.toml"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(Permanent, match=named):
        load(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="settings: "):
        Settings.load(tmp_path)
    with pytest.raises(Permanent, match="does not exist"):
        Settings.load(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b"tenant = 'caf\xe9'")
    with pytest.raises(Permanent, match=r"latin\.toml"):
        Settings.load(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UNSEEN_SERVE", "no json"),
        ("UNSEEN_SERV__PORT", "1"),
        ("UNSEEN_TENANT__X", "1"),
        ("UNSEEN_SERVE__PORTS", "1"),
    ],
)
def test_a_variable_that_sets_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Permanent, match="settings: "):
        Settings.load()


def test_the_environment_is_above_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSEEN_SERVE__PORT", "9001")
    settings = load(tmp_path, "tenant = 'shop'\n[serve]\nport = 9000\ndeadline_s = 0.3")
    assert (settings.serve.port, settings.serve.deadline_s, settings.tenant) == (9001, 0.3, "shop")
