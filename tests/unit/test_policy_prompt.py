"""What stands in the prompt, token by token, with the tiny model's letters."""

import pytest

from agent.policy.prompt import Encoder, Prompt, prefix_lines
from agent.policy.tiny import LetterTokenizer
from agent.sections import PolicySettings
from feedback.records import Earlier, Form

TOKENIZER = LetterTokenizer()
ENCODER = Encoder(
    TOKENIZER, PolicySettings(model="tiny", neighbours=2, max_new_tokens=6, long_max_new_tokens=9)
)


def written(prompt: Prompt) -> str:
    return TOKENIZER.decode(ENCODER.prompt(prompt))


def test_the_nearest_example_stands_last_before_the_query() -> None:
    examples = (("couch bed", "sofa"), ("bed linen", ""), ("too far", "away"))
    expected = "bed linen -> same\ncouch bed -> sofa\ncouch ->"
    assert written(Prompt(query="couch", examples=examples)) == expected


def test_what_the_session_asked_before_stands_between_the_examples_and_the_query() -> None:
    history = (Earlier("couch", clicked=True), Earlier("lounge"))
    # the tiny model has no exclamation mark
    expected = "couch bed -> sofa\ncouch . clicked\nlounge . not clicked\nsettee ->"
    assert written(Prompt(query="settee", examples=(("couch bed", "sofa"),), history=history)) == expected


def test_an_earlier_query_cannot_break_its_line_and_is_cut() -> None:
    assert written(Prompt(query="b", history=(Earlier("A\n-> x"),))) == "a -> x . not clicked\nb ->"
    assert written(Prompt(query="b", history=(Earlier("y" * 99),))) == "y" * 16 + " . not clicked\nb ->"


def test_a_query_cannot_break_its_line_or_pass_for_another() -> None:
    assert written(Prompt(query="Red\n\tCOUCH ")) == "red couch ->"


def test_an_example_that_would_crowd_out_the_others_is_left_out() -> None:
    assert written(Prompt(query="a", examples=(("x" * 40, "y"), ("b", "c")))) == "b -> c\na ->"


def test_a_long_request_is_cut() -> None:
    assert written(Prompt(query="x" * 500)) == "x" * 48 + " ->"


def test_a_rewrite_ends_its_line_within_the_limit_of_its_form() -> None:
    assert TOKENIZER.decode(ENCODER.encode("abcdefghijk")) == " abcd\n"  # 6 letters
    assert TOKENIZER.decode(ENCODER.encode("abcdefghijk", Form.INSTEAD)) == " abcdefg\n"  # 9 letters


@pytest.mark.parametrize("spelt", ["\n", " same\n", " Same \n", ""])
def test_nothing_has_one_text_however_it_is_spelt(spelt: str) -> None:
    assert ENCODER.text(TOKENIZER.encode(spelt)) == ""


def test_what_is_encoded_reads_back() -> None:
    assert ENCODER.text(ENCODER.encode("")) == ""
    assert ENCODER.text(ENCODER.encode("Sofa")) == "sofa"


@pytest.mark.parametrize("form", list(Form))
def test_a_prefix_teaches_rewrites_and_ends_its_last_line(form: Form) -> None:
    lines = prefix_lines(form)
    assert len(lines) >= 4
    assert all(query for query, _ in lines)
    assert ENCODER.prefix(form)[-1] == TOKENIZER.newline


def test_the_prefix_of_short_queries_shows_that_nothing_is_an_answer() -> None:
    empty = [query for query, rewrite in prefix_lines(Form.ADD) if not rewrite]
    assert 2 <= len(empty) < len(prefix_lines(Form.ADD)) / 2
