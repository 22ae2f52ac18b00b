from agent.verify.pacing import Pace


def test_a_pass_takes_what_fits_into_twenty_seconds() -> None:
    pace = Pace(64)
    pace.took(64, 640.0)  # ten seconds a query
    assert pace.n == 2
    pace.took(2, 100.0)
    assert pace.n == 1


def test_a_pass_grows_to_twice_its_size_and_not_past_the_most() -> None:
    pace = Pace(10)
    assert pace.n == 10
    pace.n = 4
    pace.took(4, 0.1)
    assert pace.n == 8
    pace.took(8, 0.0)
    assert pace.n == 10
    pace.took(0, 100.0)  # nothing was judged: nothing is known
    assert pace.n == 10
