"""Images: what they install is what their role imports, and nothing runs as root."""

import functools
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from deployed import DEPLOY, README, ROLES, ROOT, commands, images, targets

DOCKERFILE = (DEPLOY / "images/Dockerfile").read_text()
REPORT = ("agent.watching.week", "agent.reporting.of_week", "agent.reporting.files")
"""Loaded by `unseen report`, which starts in every image."""
MODULES = {
    "light": ("feedback.process", "agent.verify.process", "agent.watching.process", *REPORT),
    "model": ("agent.release.process", *REPORT),
}
"""By list: loaded by a role's command when it is called. The third list is every package that there is."""
"""Loaded by a role's command when it is called; the two others have every package that there is."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a folder with the packages of one list alone, as an image has them."""
    shared = {top for top, names in packages_distributions().items() if len(set(names)) > 1}

    @functools.cache
    def linked(shape: str) -> Path:
        folder = tmp_path_factory.mktemp(shape)
        for name in images()["listed"](shape):
            one = distribution(name)
            parts = {
                f.parts[: 2 if f.parts[0] in shared else 1] for f in one.files or () if f.parts[0] != ".."
            }
            for part in parts:
                place = folder.joinpath(*part)
                place.parent.mkdir(exist_ok=True)
                if not place.is_symlink():
                    place.symlink_to(Path(str(one.locate_file(Path(*part)))))
        return folder

    return linked


def test_every_role_is_a_target_and_every_target_runs_a_command() -> None:
    assert targets() == set(ROLES)
    for role in ROLES:
        end = DOCKERFILE.partition(f" AS {role}\n")[2]
        said = re.search(r'^CMD \["(?:unseen", ")?([a-z]+)"\]$', end, re.MULTILINE)
        assert said is not None
        assert said[1] == role
        assert role in commands()


def test_an_image_starts_from_the_packages_that_its_role_has() -> None:
    stages = {
        role: stage for stage, role in re.findall(r"^FROM (\S+)-code AS (\S+)$", DOCKERFILE, re.MULTILINE)
    }
    assert stages == images()["ROLES"]


def test_no_image_ends_as_root() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    for stage in stages:
        users = re.findall(r"^USER (.+)$", stage, re.MULTILINE)
        assert not users or users[-1] == "10001:10001", stage
    assert sum("USER 10001:10001" in stage for stage in stages) == 4


@pytest.mark.parametrize("shape", ["light", "model", "ray"])
def test_the_lists_are_what_their_roots_need_and_all_locked(shape: str) -> None:
    made = images()
    listed = made["listed"](shape)
    assert set(listed) == made["closure"](made["ROOTS"][shape])  # python deploy/images/packages.py write
    lock = made["select"]((ROOT / "requirements.lock").read_text(), listed)
    assert len(re.findall(r"^\S+==", lock, re.MULTILINE)) == len(listed)
    assert lock.count("--hash=") >= len(listed)


def test_a_package_that_is_not_locked_is_named() -> None:
    with pytest.raises(SystemExit, match="not in the lock file: torch"):
        images()["select"]("numpy==1 \\\n    --hash=sha256:00\n", ["numpy", "torch"])


@pytest.mark.timeout(120)  # torch and transformers are read anew
@pytest.mark.parametrize("shape", MODULES)
def test_a_role_imports_nothing_that_its_image_lacks(shape: str, installed: Callable[[str], Path]) -> None:
    packages = installed(shape)
    assert not (packages / "ray").exists()
    modules = ", ".join(("agent.cli", *MODULES[shape]))
    code = f"import sys; sys.path[:0] = {[str(ROOT), str(packages)]}; import {modules}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_sizes_that_the_document_gives_are_measured() -> None:
    """Within a tenth: wheels differ between machines."""
    made = images()
    rows = re.findall(r"^\| ([a-z, ]+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \|$", README, re.MULTILINE)
    assert {role for roles, *_ in rows for role in roles.split(", ")} == set(ROLES)
    for roles, n_packages, mib, _ in rows:
        shapes = {made["ROLES"][role] for role in roles.split(", ")}
        assert len(shapes) == 1
        names = made["listed"](shapes.pop())
        assert len(names) == int(n_packages)
        if len(names) < 100:  # the larger ones take a minute to count where the disk is slow
            measured = sum(made["n_bytes"](distribution(name)) for name in names) / made["MIB"]
            assert abs(measured / int(mib.replace(",", "")) - 1) < 0.1


def test_only_what_the_dockerfile_copies_goes_to_the_builder() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for word in line.split()
    }
    assert copied
    assert all((ROOT / word).exists() for word in copied)
    assert all(any(Path(word).is_relative_to(one) for one in allowed) for word in copied)
