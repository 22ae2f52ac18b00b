import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from agent.demo.stack import StackError, distribution
from agent.demo.stack.distribution import MODULES, SERVER, Artifact, descriptor


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Serve small files in the artifacts' places; return the coordinates asked for, in order."""
    asked: list[str] = []

    def fetch(artifact: Artifact, folder: Path) -> Path:
        asked.append(artifact.coordinates)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{artifact.name}-{artifact.version}.{artifact.packaging}"
        if artifact is SERVER:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("opensearch-3.4.0/bin/opensearch", "")
                archive.writestr("opensearch-3.4.0/config/opensearch.yml", "")
                archive.writestr("opensearch-3.4.0/modules/netty/netty.jar", "")
        else:
            path.touch()
        return path

    monkeypatch.setattr(distribution, "fetch", fetch)
    return asked


def test_the_modules_stand_in_their_folders_with_their_descriptors(
    registry: list[str], tmp_path: Path
) -> None:
    home = distribution.ensure_distribution(tmp_path / "cache")
    assert (home / "modules" / "analysis-common" / "analysis-common-3.4.0.jar").exists()
    assert len(list((home / "modules" / "lang-painless").glob("*.jar"))) == 8
    assert (home / "modules" / "netty" / "netty.jar").exists()
    assert (home / "bin" / "opensearch").stat().st_mode & 0o777 == 0o755
    assert (home / "config" / "opensearch.yml").stat().st_mode & 0o777 == 0o644


def test_the_folder_records_the_checksum_of_each_of_its_ten_artifacts(
    registry: list[str], tmp_path: Path
) -> None:
    home = distribution.ensure_distribution(tmp_path / "cache")
    checksums = json.loads((home / "checksums.json").read_text())
    assert sorted(checksums) == sorted(registry)
    assert len(checksums) == 10
    assert checksums["org.antlr:antlr4-runtime:4.13.1:jar"].startswith("54665d28")


def test_a_second_call_fetches_nothing_and_no_scaffolding_is_left(
    registry: list[str], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = distribution.ensure_distribution(cache)
    registry.clear()
    assert distribution.ensure_distribution(cache) == first
    assert registry == []
    assert {path.name for path in cache.iterdir()} - {"opensearch-3.4.0.lock"} == {"opensearch-3.4.0"}


def test_what_a_killed_builder_left_is_built_anew(registry: list[str], tmp_path: Path) -> None:
    half = tmp_path / "cache" / ".opensearch-3.4.0.building" / "opensearch-3.4.0" / "modules"
    half.mkdir(parents=True)
    (half / "half.jar").touch()
    home = distribution.ensure_distribution(tmp_path / "cache")
    assert not (home / "modules" / "half.jar").exists()


def test_an_artifact_with_another_checksum_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = Artifact("g", "a", "1", "jar", hashlib.sha256(b"right").hexdigest())
    place = tmp_path / "g" / "a" / "1"
    place.mkdir(parents=True)
    (place / "a-1.jar").write_bytes(b"right")
    assert distribution.fetch(artifact, tmp_path) == place / "a-1.jar"
    (place / "a-1.jar").write_bytes(b"wrong")
    with pytest.raises(StackError, match=r"g:a:1:jar has sha256 [0-9a-f]{64}, not [0-9a-f]{64}"):
        distribution.fetch(artifact, tmp_path)


def test_the_analysis_module_extends_the_scripting_module() -> None:
    painless, analysis = MODULES
    assert descriptor(analysis).splitlines() == [
        "description=the analysis-common module",
        "version=3.4.0",
        "name=analysis-common",
        "classname=org.opensearch.analysis.common.CommonAnalysisModulePlugin",
        "java.version=21",
        "opensearch.version=3.4.0",
        "custom.foldername=",
        "extended.plugins=lang-painless",
        "has.native.controller=false",
    ]
    assert "extended.plugins=\n" in descriptor(painless)
