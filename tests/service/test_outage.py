"""Redis away under load, for a moment: the benchmark, small."""

import pytest

from tests.bench import outage


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("redis_server", "fake_opensearch_url")
def test_every_search_is_answered_and_every_page_and_click_has_its_place() -> None:
    words = ["--outage-s", "3", "--calm-s", "1", "--rate", "15", "--buffer", "20"]
    said = outage.measure(outage.options().parse_args(words))
    assert said["searches"] > 60
    assert said["unanswered"] == 0
    assert said["pages_unaccounted"] == 0
    assert said["pages_waiting"] == 0
    assert said["pages_shed"] > 0  # the buffer is smaller than what an outage brings
    assert said["clicks_lost"] == 0
    assert said["clicks_refused_503"] > 0
