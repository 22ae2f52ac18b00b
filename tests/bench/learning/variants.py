"""What a run of the tables changes in the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Settings that differ from the defaults, under a name."""

    name: str
    change: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, settings: Settings, *, threads: int) -> Settings:
        """Return the settings with the change, validated as if they had come from a file."""
        machine = {"learner": {"threads": threads}, "policy": {"threads": threads}}
        return Settings.model_validate(changed(changed(settings.model_dump(), machine), self.change))


def changed(tree: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of sections with some of their values replaced."""
    sections = {name: {**tree.get(name, {}), **values} for name, values in change.items()}
    return {**tree, **sections}


VARIANTS = {
    one.name: one
    for one in (
        Variant(name="default"),
        Variant(name="plain_prompt", change={"policy": {"neighbours": 0}}),
        Variant(name="own_samples_only", change={"learner": {"teachers": "own"}}),
        Variant(name="candidates_only", change={"learner": {"teachers": "candidates"}}),
        Variant(
            name="no_replay",
            change={"learner": {"fresh_share": 1.0, "precise_from": 1e-9, "dull_floor": 1.0}},
        ),
        Variant(name="gvpo", change={"learner": {"estimator": "gvpo"}}),
        Variant(name="oapl", change={"learner": {"estimator": "oapl"}}),
    )
}
