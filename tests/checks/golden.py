"""Golden bytes: what this release writes of every record, kept in files that later releases must read.

`python -m tests.checks.golden --write` makes them anew after a record has changed. A line that changes goes
to `tests/golden/earlier/`, where it stays: what any release wrote is read by all later ones. Each file holds
two lines: a record with every field set to something other than its default, and one of its required fields
alone.
"""

import argparse
import inspect
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from msgspec.inspect import (
    BoolType,
    DictType,
    EnumType,
    Field,
    FloatType,
    IntType,
    LiteralType,
    StrType,
    StructType,
    TupleType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from feedback import link_records, records, version_records
from feedback.collecting import sessions
from feedback.evidence import ledger

MODULES: tuple[types.ModuleType, ...] = (records, link_records, version_records, sessions, ledger)
FOLDER = Path(__file__).parents[1] / "golden"
EARLIER = FOLDER / "earlier"


def all_records() -> Iterator[type[msgspec.Struct]]:
    """Yield every record that these modules define, by name."""
    for module in MODULES:
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, msgspec.Struct) and found.__module__ == module.__name__:
                yield found


def fields_of(record: type[msgspec.Struct]) -> tuple[Field, ...]:
    """Return a record's fields in order."""
    described = type_info(record)
    assert isinstance(described, StructType)
    return described.fields


def full(record: type[msgspec.Struct]) -> msgspec.Struct:
    """Return a record with every field set, to something other than its default."""
    return record(
        **{field.name: _value(field.type, field.name, _default(field)) for field in fields_of(record)}
    )


def least(record: type[msgspec.Struct]) -> msgspec.Struct:
    """Return a record of its required fields alone."""
    required = [field for field in fields_of(record) if field.required]
    return record(**{field.name: _value(field.type, field.name, None) for field in required})


def lines(record: type[msgspec.Struct]) -> list[bytes]:
    """Return what this release writes of it."""
    return [msgspec.json.encode(full(record)), msgspec.json.encode(least(record))]


def path_of(record: type[msgspec.Struct], folder: Path = FOLDER) -> Path:
    """Return the file of a record's lines."""
    return folder / f"{record.__name__}.jsonl"


def kept(path: Path) -> list[bytes]:
    """Return a file's lines; none where there is no file."""
    return path.read_bytes().splitlines() if path.exists() else []


def _default(field: Field) -> Any:  # noqa: ANN401 - of any type
    return field.default_factory() if callable(field.default_factory) else field.default


def _value(of: Type, name: str, default: Any) -> Any:  # noqa: ANN401, PLR0911, C901 - a case a type
    match of:
        case BoolType():
            return default is not True
        case IntType():
            number = 1_795_426_200_000 if name.endswith("_at_ms") else len(name) + 2
            return number + (number == default)
        case FloatType():
            return 0.125 + (default == 0.125)
        case StrType():
            return f"a {name}"
        case EnumType():
            return next(member for member in reversed(list(of.cls)) if member is not default)
        case LiteralType():
            return next(value for value in reversed(of.values) if value != default)
        case UnionType():
            return _value(next(one for one in of.types if type(one).__name__ != "NoneType"), name, default)
        case StructType():
            return full(of.cls)
        case VarTupleType():
            return (_value(of.item_type, name, None),)
        case TupleType():
            return tuple(_value(one, name, None) for one in of.item_types)
        case DictType():
            return {_key(of.key_type): _value(of.value_type, name, None)}
        case _:
            raise TypeError(f"{name}: golden bytes know no value of {of}")


def _key(of: Type) -> str | Enum:
    made = _value(of, "key", None)
    assert isinstance(made, str)
    return made


def write() -> None:
    """Write what this release writes; keep what earlier ones wrote."""
    EARLIER.mkdir(parents=True, exist_ok=True)
    for record in all_records():
        made, path, earlier = lines(record), path_of(record), path_of(record, EARLIER)
        gone = [line for line in kept(path) if line not in made]
        if fresh := [line for line in gone if line not in kept(earlier)]:
            earlier.write_bytes(b"".join(line + b"\n" for line in [*kept(earlier), *fresh]))
        path.write_bytes(b"".join(line + b"\n" for line in made))


def without(line: bytes, field: str) -> bytes:
    """Return a record's bytes as one that does not know a field writes them."""
    stored: Mapping[str, Any] = msgspec.json.decode(line)
    return msgspec.json.encode({name: value for name, value in stored.items() if name != field})


def main() -> None:
    """Write the files, where told to."""
    parser = argparse.ArgumentParser(prog="python -m tests.checks.golden", description=__doc__)
    parser.add_argument("--write", action="store_true", required=True, help="as this release writes them")
    parser.parse_args()
    write()


if __name__ == "__main__":
    main()
