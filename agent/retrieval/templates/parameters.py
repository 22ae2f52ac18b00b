"""What a search may set of a template, and what is refused."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

import jsonschema
from pydantic import BaseModel, ConfigDict, Field
from referencing.exceptions import Unresolvable

from agent.errors import Permanent, Refused

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
MAX_CHARS = 4096
"""Of all parameters of a search, as JSON."""
MAX_DEPTH = 16
SHOWN_CHARS = 60


class Part(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Parameter(Part):
    """What a search may set."""

    default: Any = None
    """Where a search does not say; null: what it stands in is left out."""
    replay: Any = None
    """In searches that nobody waits for, which learn; null: the default."""
    segment_by: bool = False
    """Whether each of its values has evidence of its own: a language, not a price."""
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")
    """JSON Schema of its values."""

    @property
    def judged_by(self) -> Any:  # noqa: ANN401 - JSON
        """Return its value in searches that learn, where it splits no evidence."""
        return self.default if self.replay is None else self.replay


class Parameters:
    """All of a template."""

    def __init__(self, described: Mapping[str, Parameter]) -> None:
        """Look at them; raises Permanent, which names the JSON path of what is wrong."""
        self.described = described
        self._validators = {name: _validator(name, one) for name, one in described.items()}
        for name, one in described.items():
            self._look(name, one)

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all values, those given checked; raises Refused, which names the parameter."""
        self._refuse_unknown(given)
        said = {name: value for name, value in given.items() if value is not None}
        for name, value in said.items():
            _refuse_odd(name, value)
        if len(packed(said)) > MAX_CHARS:
            raise Refused(f"params: must take at most {MAX_CHARS} characters of JSON")
        for name, value in said.items():
            self._check(name, value)
        return {name: said.get(name, one.default) for name, one in self.described.items()}

    def changed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that are not the defaults: 1 is not true."""
        return {
            name: value
            for name, value in values.items()
            if packed(value) != packed(self.described[name].default)
        }

    def _refuse_unknown(self, given: Mapping[str, Any]) -> None:
        unknown = sorted(set(given) - set(self.described))
        if unknown:
            named = ", ".join(ascii(name)[1:-1][:40] for name in unknown[:3])
            raise Refused(f"params: there is no {named}; there are {', '.join(self.described) or 'none'}")

    def _check(self, name: str, value: object) -> None:
        error = jsonschema.exceptions.best_match(self._validators[name].iter_errors(value))
        if error is not None:
            raise Refused(f"params.{name}: {ascii(error.message)[1:-1][:200]}")

    def _look(self, name: str, one: Parameter) -> None:
        if one.segment_by and one.replay is not None:
            raise Permanent(f"$.parameters.{name}: splits evidence, so that each value is replayed as it is")
        try:
            for value in (one.default, one.replay):
                if value is not None:
                    self._check(name, value)
        except Refused as error:
            raise Permanent(f"$.parameters.{name}: {error}") from error


def packed(value: object) -> str:
    """Return a value as JSON with sorted keys."""
    return json.dumps(value, sort_keys=True)


def _validator(name: str, one: Parameter) -> Any:  # noqa: ANN401 - jsonschema has no types
    kind = jsonschema.validators.validator_for(one.schema_)
    try:
        kind.check_schema(one.schema_)
        made = kind(one.schema_)
        made.is_valid(None)  # resolves its references
    except (jsonschema.SchemaError, Unresolvable) as error:
        raise Permanent(f"$.parameters.{name}.schema: {str(error)[:200]}") from error
    return made


def _refuse_odd(name: str, value: object, depth: int = 0) -> None:
    """Raise Refused for what is no JSON (NaN) or nested so deep that no query is."""
    if depth > MAX_DEPTH:
        raise Refused(f"params.{name}: is nested too deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(f"params.{name}: {value} is no JSON number")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _refuse_odd(name, one, depth + 1)
