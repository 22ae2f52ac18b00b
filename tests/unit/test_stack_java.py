from collections.abc import Callable
from pathlib import Path

import pytest

from agent.demo.stack import UnavailableError
from agent.demo.stack.java import find_java, look, usual_homes

MakeJdk = Callable[..., Path]


@pytest.fixture
def make_jdk(tmp_path: Path) -> MakeJdk:
    """Write what tells a JDK: its release file and the compiler."""

    def make(name: str, version: str, modules: str = "java.base jdk.localedata") -> Path:
        home = tmp_path / name
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "javac").touch()
        (home / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
        return home

    return make


def test_the_variable_of_opensearch_goes_before_that_of_java_and_a_newer_one(
    make_jdk: MakeJdk,
) -> None:
    ours, general, newest = make_jdk("a", "21.0.1"), make_jdk("b", "22"), make_jdk("c", "25.0.3")
    named = {"OPENSEARCH_JAVA_HOME": str(ours), "JAVA_HOME": str(general)}
    assert find_java(named, [newest]).home == ours
    assert find_java({"JAVA_HOME": str(general)}, [newest]).home == general


def test_the_newest_in_the_usual_places_is_taken_by_number_not_by_name(make_jdk: MakeJdk) -> None:
    homes = [make_jdk("z", "21.0.9"), make_jdk("a", "100.0.1"), make_jdk("m", "25")]
    java = find_java({}, homes)
    assert (java.home, java.version) == (homes[1], 100)


def test_a_named_java_that_will_not_do_is_passed_over(make_jdk: MakeJdk) -> None:
    good = make_jdk("good", "21")
    assert find_java({"JAVA_HOME": "/nowhere"}, [good]).home == good


def test_each_java_that_will_not_do_is_named_with_its_reason(make_jdk: MakeJdk) -> None:
    old, older = make_jdk("old", "17.0.9"), make_jdk("older", "1.8.0_402")
    trimmed = make_jdk("trimmed", "21", modules="java.base")
    runtime = make_jdk("runtime", "21")
    (runtime / "bin" / "javac").unlink()
    with pytest.raises(UnavailableError) as caught:
        find_java({"JAVA_HOME": "/nowhere"}, [old, older, trimmed, runtime])
    assert str(caught.value) == (
        "no JDK 21 or newer: /nowhere is no JDK; "
        f"{old} is Java 17; {older} is Java 8; "
        f"{trimmed} is a trimmed runtime; {runtime} is a trimmed runtime"
    )


def test_a_machine_without_any_java_is_told_so() -> None:
    with pytest.raises(UnavailableError, match="no JDK 21 or newer: there is none"):
        find_java({}, [])


def test_a_jdk_that_does_not_say_its_version_will_not_do(make_jdk: MakeJdk) -> None:
    home = make_jdk("odd", "?")
    assert look(home) == f"{home} is Java of an unknown version"


def test_the_java_on_the_path_is_looked_at_where_its_link_points(make_jdk: MakeJdk) -> None:
    home = make_jdk("jdk", "21")
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "bin" / "java").chmod(0o755)
    links = home.parent / "links"
    links.mkdir()
    (links / "java").symlink_to(home / "bin" / "java")
    assert home in usual_homes({"PATH": str(links)})
