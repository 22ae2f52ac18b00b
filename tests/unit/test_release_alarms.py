"""Figures of a version's words, by hand."""

import pytest

from agent.release.alarms import is_odd, text_figures

WORDS = ["sofa", "tv", "mp3", "xs", "16gb", "ipad2", "gym", "d'oro", "größe", "sillón", "a4"]


@pytest.mark.parametrize("word", WORDS)
def test_words_of_shops_are_words(word: str) -> None:
    assert not is_odd(word)


@pytest.mark.parametrize("word", ["★", "🎉", "!!!", "sofa🎉", "qwrtzpsd", "x" * 25, "--"])
def test_symbols_endless_strings_and_letters_without_a_vowel_are_none(word: str) -> None:
    assert is_odd(word)


def test_the_figures_of_a_few_rewrites() -> None:
    figures = text_figures({"grey couch": "sofa sofa", "lamp": "best light", "rug": "best", "desk": ""})
    assert figures["silent"] == 1 / 4
    assert figures["words"] == pytest.approx(5 / 3)
    assert figures["repeated"] == pytest.approx(1 / 5)  # the second sofa
    assert figures["same"] == pytest.approx(2 / 3)  # best, in two of three
    assert figures["odd"] == 0


def test_a_word_of_its_own_query_is_not_the_same_everywhere() -> None:
    assert text_figures({"a sofa": "sofa", "b sofa": "sofa"})["same"] == 0


def test_one_rewrite_or_none_tells_nothing_of_sameness() -> None:
    assert text_figures({"a": "sofa", "b": ""})["same"] == 0
    assert text_figures({})["silent"] == 0
