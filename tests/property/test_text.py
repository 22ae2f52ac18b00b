"""One spelling for a query: normalising twice is normalising once."""

from hypothesis import example, given
from hypothesis import strategies as st

from feedback.text import normalise


@given(st.text())
@example("\u1e9e \ufdfa \u0345\u03b1")
@example("\u03d3\u0345 \u1fb4")
def test_normalise_is_idempotent(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
