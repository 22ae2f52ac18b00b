import random

from agent.lending import Trial, terms_of


def trials(
    n: int, gain: float, *, similarity: float = 0.5, claimed: float = 0.3, noise: float = 0.1
) -> list[Trial]:
    draw = random.Random(f"{n}|{gain}|{similarity}")
    return [Trial(similarity=similarity, claimed=claimed, gain=gain + draw.gauss(0, noise)) for _ in range(n)]


NOTHING_OFFERED = [Trial(similarity=0.5, claimed=0.0, gain=0.0)] * 100


def test_loans_that_gain_by_the_query_s_own_clicks_are_given() -> None:
    terms = terms_of([*trials(40, 0.2), *NOTHING_OFFERED])
    assert terms.lends
    assert (terms.tried, terms.loans) == (140, 40)
    assert 0 < terms.low < terms.gain < 0.3
    assert 0.2 < terms.similarity + terms.least_gain < 0.5 + 0.3


def test_loans_that_harm_that_do_nothing_or_of_which_little_is_known_are_not() -> None:
    for known in ([], NOTHING_OFFERED, trials(40, -0.2), trials(400, 0.0), trials(19, 0.5)):
        terms = terms_of(known)
        assert not terms.lends
        assert terms.tried == len(known)
    assert terms_of(trials(40, -0.2)).gain < -0.1  # it says what was found
    assert terms_of(trials(40, -0.2)).worse > 30


def test_loans_are_given_from_the_nearness_and_the_claim_on_that_pay() -> None:
    far, near = trials(100, -0.1, similarity=0.25), trials(100, 0.2, similarity=0.45)
    terms = terms_of([*far, *near])
    assert terms.lends
    assert terms.similarity in (0.3, 0.4)
    timid, sure = trials(100, -0.1, claimed=0.04), trials(100, 0.2, claimed=0.2)
    terms = terms_of([*timid, *sure])
    assert terms.lends
    assert 0.04 < terms.least_gain <= 0.2


def test_what_is_a_matter_of_luck_is_hardly_ever_taken_for_a_gain() -> None:
    draw = random.Random(0)

    def luck() -> list[Trial]:
        return [
            Trial(similarity=draw.random(), claimed=draw.random() / 2, gain=draw.gauss(0, 0.3))
            for _ in range(200)
        ]

    assert sum(terms_of(luck()).lends for _ in range(200)) <= 6
