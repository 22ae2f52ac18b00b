"""The application as a cluster's configuration names it: settings and secrets are read where it is built."""

from pathlib import Path

import pytest

from agent.errors import Permanent
from agent.settings import Settings

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`"),  # Ray Serve's own
    pytest.mark.timeout(120),  # it is read here
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of a gateway whose OpenSearch is away."""
    config = tmp_path / "unseen.toml"
    config.write_text('[opensearch]\nurl = "http://127.0.0.1:1"\n')
    monkeypatch.setenv("UNSEEN_CONFIG", str(config))
    monkeypatch.setenv("UNSEEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("agent.logs.configure", lambda *_, **__: None)
    monkeypatch.setattr("agent.serve.on_cluster.configure", lambda *_, **__: None)
    return tmp_path / "data"


def test_it_is_built_from_settings_with_the_secret_in_it(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.serve import on_cluster  # noqa: PLC0415 - Ray Serve warns

    given: list[tuple[Settings, str]] = []
    monkeypatch.setattr(on_cluster, "application", lambda settings, url: given.append((settings, url)))
    on_cluster.build({"url": "http://gateway:8000"})
    ((settings, url),) = given
    assert url == "http://gateway:8000"
    assert settings.access.secret is not None
    made = (data / "secrets/default.key").read_text().strip()
    assert settings.access.secret.get_secret_value() == made


def test_an_admin_port_that_others_reach_is_refused_without_a_key(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.serve import on_cluster  # noqa: PLC0415 - Ray Serve warns

    monkeypatch.setenv("UNSEEN_SERVE__ADMIN_HOST", "0.0.0.0")  # noqa: S104 - which is refused
    with pytest.raises(Permanent, match=r"serve\.admin_host"):
        on_cluster.build({})
    assert not data.exists()
