"""One spelling for a query: normalising twice is normalising once."""

from hypothesis import example, given
from hypothesis import strategies as st

from feedback.text import normalise


@given(st.text())
@example("\xdf\u0301")
@example("\u03aa\u0301")
def test_normalise_is_idempotent(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
