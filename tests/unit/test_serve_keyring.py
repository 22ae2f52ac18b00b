"""The keys themselves: where they stand, how they are compared, what is open without."""

import hmac
from pathlib import Path
from typing import Any

import pytest
from keyed_gateway import BY_SCOPE, EVERYWHERE, KEY, KEYED
from pydantic import SecretStr, ValidationError

from agent.errors import Permanent
from agent.sections import AccessKey, AccessSettings, Scope
from agent.serve.access import what_is_open
from agent.serve.keys import KeyRing, with_keys
from agent.settings import Settings


def test_all_keys_are_compared_whichever_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    ring, compared = KeyRing(AccessSettings.model_validate(KEYED)), list[bytes]()
    real = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    for given in (KEY, BY_SCOPE[Scope.ADMIN], "nobody-s", ""):
        compared.clear()
        ring.holder(given)
        assert len(compared) == 1 + len(Scope)
        assert {len(one) for one in compared} == {32}


def test_keys_may_stand_in_files(tmp_path: Path) -> None:
    shop, ops = tmp_path / "shop", tmp_path / "ops"
    shop.write_text(f"{KEY}\nthe-key-that-comes-after\n")
    ops.write_text(f"{BY_SCOPE[Scope.ADMIN]}\n")
    given = {"server_keys_file": str(shop), "keys": {"ops": {"file": str(ops), "scopes": ["admin"]}}}
    settings = Settings.model_validate({"access": given})
    assert settings.access.is_keyed
    ring = KeyRing(with_keys(settings).access)
    shop.unlink()  # the settings hold them: a gateway on another machine has no such file
    holder = ring.holder("the-key-that-comes-after")
    assert holder is not None
    assert holder.name == "server-2"
    assert holder.scopes == {Scope.SEARCH, Scope.EVENTS}
    ops_holder = ring.holder(BY_SCOPE[Scope.ADMIN])
    assert ops_holder is not None
    assert ops_holder.scopes == {Scope.ADMIN}
    assert with_keys(with_keys(settings.model_copy(update={"access": AccessSettings()}))).access.keys == {}


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("", "16 characters"), ("short", "16 characters")]
)
def test_a_file_without_keys_is_named(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)
    for given in ({"server_keys_file": str(path)}, {"keys": {"web": {"file": str(path)}}}):
        with pytest.raises(Permanent, match=rf"{path}.*{says}"):
            with_keys(Settings.model_validate({"access": given}))


def test_keys_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    twice = {"server_keys": [KEY], "keys": {"web": {"key": KEY, "scopes": ["events"]}}}
    with pytest.raises(Permanent, match="two names"):
        with_keys(Settings.model_validate({"access": twice}))
    for wrong in (
        {},
        {"key": KEY, "file": "x"},
        {"key": KEY, "scopes": []},
        {"key": KEY, "scopes": ["root"]},
    ):
        with pytest.raises(ValidationError):
            AccessKey.model_validate(wrong)
    assert KEY not in repr(AccessKey(key=SecretStr(KEY)))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "without a key anybody on this machine may search and send events"),
        ({"serve": {"host": EVERYWHERE}}, "without a key anybody who reaches 0.0.0.0 may search"),
        ({"access": KEYED}, "without a key nobody may search and send events; nobody may read metrics"),
    ],
)
def test_one_line_says_what_is_open(settings: dict[str, Any], says: str) -> None:
    line = what_is_open(Settings.model_validate(settings))
    assert line.startswith(says)
    assert "\n" not in line
