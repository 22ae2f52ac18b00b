"""A benchmark's short form: small where nothing else is said."""

import argparse

import pytest

from tests.bench.quick import parse


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--model", default="smollm2")
    return parser


def given(*words: str) -> dict[str, object]:
    return vars(parse(parser(), words, seeds=1, model="tiny"))


def test_without_quick_everything_is_as_it_was() -> None:
    assert given() == {"quick": False, "seeds": 8, "model": "smollm2"}


def test_a_quick_look_is_small_but_for_what_is_given_by_hand() -> None:
    assert given("--quick") == {"quick": True, "seeds": 1, "model": "tiny"}
    assert given("--quick", "--seeds", "8") == {"quick": True, "seeds": 8, "model": "tiny"}


def test_a_small_value_of_no_option_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="no option is called rounds"):
        parse(parser(), (), rounds=1)
