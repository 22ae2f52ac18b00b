"""How many processes of a kind are to run."""

import pytest
from pydantic import ValidationError

from agent.sections import ServeSettings
from agent.serve import scaling


def test_a_number_stays_what_it_is_by_default() -> None:
    assert scaling.gateways(ServeSettings(gateways=3)) == {"num_replicas": 3}
    assert scaling.replicas(ServeSettings()) == {"num_replicas": 1}
    assert scaling.most(ServeSettings(gateways=3, replicas=2)) == 5


def test_with_a_most_the_load_decides() -> None:
    some = ServeSettings(gateways=2, most_gateways=6, gateway_load=3, replicas=1, most_replicas=4)
    assert scaling.gateways(some) == {
        "autoscaling_config": {"min_replicas": 2, "max_replicas": 6, "target_ongoing_requests": 3}
    }
    assert scaling.replicas(some)["autoscaling_config"]["max_replicas"] == 4
    assert scaling.most(some) == 10


@pytest.mark.parametrize("name", ["gateways", "replicas"])
def test_a_most_below_the_least_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"most_{name}: 1 is less than {name}, 2"):
        ServeSettings.model_validate({name: 2, f"most_{name}": 1})
