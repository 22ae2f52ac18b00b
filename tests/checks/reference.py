"""The interface of a gateway as a document, written from its OpenAPI: `agent/serve/API.md`.

Run it as ``python -m tests.checks.reference --write`` from the top folder; it needs no service.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PLACE = Path(__file__).parents[2] / "agent/serve/API.md"
HEAD = """# The interface

What shops and their pages ask a gateway. Written from its OpenAPI by
`python -m tests.checks.reference --write`; a test holds it against the routes. A gateway shows the same, to
be tried, at `/docs` of its admin port and gives it to programs at `/openapi.json`; neither needs a way to the
internet. What a field means in practice: [events by example](EVENTS.md); keys and limits:
[Security](README.md#security). OpenSearch's own routes, which a gateway answers too, are
[OpenSearch's](README.md#in-opensearchs-place).
"""
Schema = Mapping[str, Any]
LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "from {}",
    "maximum": "to {}",
    "exclusiveMinimum": "above {}",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "pattern": "`{}`",
}
PLAIN = {r"^[^\x00-\x1f\x7f]*$": "no control characters", r"^[^\x00-\x1f\x7f]+$": "no control characters"}
"""Patterns in words."""


def written() -> str:
    """Return the document."""
    from document_commands import interface  # noqa: PLC0415 - as a script it is found once main has run

    api = interface()
    parts, bodies = list[str](), dict[str, str]()
    for path, methods in api["paths"].items():
        for method, told in methods.items():
            parts += [f"## {method.upper()} {path}\n\n{_text(told['description'])}\n"]
            parts += _parameters(told.get("parameters", []))
            parts += _once(path, told.get("requestBody"), bodies, api)
            parts += _answers(told["responses"])
    return "\n".join([HEAD, *parts, *_shared(api)]).rstrip() + "\n"


def _once(path: str, body: Schema | None, bodies: dict[str, str], api: Schema) -> Iterator[str]:
    """Give a body; where another route has the same, its name."""
    if body is None:
        return
    key = json.dumps(body)
    if key in bodies:
        yield f"Body: as for {bodies[key]}.\n"
        return
    bodies[key] = path
    yield f"Body, `{'` or `'.join(body['content'])}`:\n"
    yield from _body(body["content"]["application/json"], api)


def _text(text: str) -> str:
    return re.sub(r"``([^`]+)``", r"`\1`", " ".join(text.replace("\n\n", " ").split()))


def _parameters(parameters: list[Schema]) -> Iterator[str]:
    if parameters:
        rows = [(p["name"], p["schema"] | {"description": p.get("description", "")}) for p in parameters]
        places = {p["name"]: p["in"] for p in parameters}
        yield "\n".join(f"- `{name}` ({places[name]}): {_shape(one, {})}" for name, one in rows) + "\n"


def _body(content: Schema, api: Schema) -> Iterator[str]:
    schema, examples = content["schema"], content.get("examples", {})
    if "anyOf" in schema:  # one, several, or several under a name
        several = next(one for one in schema["anyOf"] if one.get("type") == "array")
        name = next(iter(schema["anyOf"][0]["properties"]))
        most = f"{several['maxItems']:,}"
        yield f'One object, a list of up to {most}, `{{"{name}": [...]}}`, or NDJSON. An object has:\n'
        schema = several["items"]
    schema = _resolved(schema, api)
    yield from _fields(schema, api)
    shown = [one["value"] for one in examples.values()] + list(schema.get("examples", []))
    for value in shown:
        yield f"```json\n{json.dumps(value, indent=2)}\n```\n"


def _fields(schema: Schema, api: Schema) -> Iterator[str]:
    needed = schema.get("required", [])
    yield "| field | | |\n|---|---|---|"
    for name, one in _flat(schema, api):
        must = ", needed" if name in needed else ""
        yield f"| `{name}` | {_shape(one, api)}{must} | {_text(one.get('description', ''))} |"
    yield ""


def _flat(schema: Schema, api: Schema, above: str = "") -> Iterator[tuple[str, Schema]]:
    """Give each field, those of objects within it by a path of names."""
    for name, one in schema.get("properties", {}).items():
        inner = next((c for c in _choices(_resolved(one, api)) if c.get("properties")), None)
        if inner is None:
            yield f"{above}{name}", one
        else:
            yield from _flat(inner, api, f"{above}{name}.")


def _choices(schema: Schema) -> list[Schema]:
    return list(schema.get("anyOf", [schema]))


def _resolved(schema: Schema, api: Schema) -> Schema:
    if "$ref" in schema:
        return dict(api["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return schema


def _shape(schema: Schema, api: Schema) -> str:
    """Return a field's type, its limits and its default."""
    kinds = [_kind(one) for one in _choices(schema)]
    said = [" or ".join(dict.fromkeys(kinds))]
    limits = {name: one[name] for one in _choices(schema) for name in LIMITS if name in one}
    said += [PLAIN.get(value) or LIMITS[name].format(_plain(name, value)) for name, value in limits.items()]
    if schema.get("default") not in (None, "", {}, []):
        said.append(f"by default `{json.dumps(schema['default'])}`")
    if told := schema.get("description") if not api else None:
        said.append(told[0].lower() + told[1:])
    return ", ".join(said)


def _plain(name: str, value: Any) -> str:  # noqa: ANN401 - JSON
    if name == "pattern":
        return str(value).replace("|", "\\|").replace("\x00", "")
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    kind = str(schema.get("type", "any"))
    return f"list of {_kind(schema['items'])}" if kind == "array" and "items" in schema else kind


def _answers(responses: Mapping[str, Schema]) -> Iterator[str]:
    yield "| status | |\n|---|---|"
    for status, told in sorted(responses.items()):
        schema = told.get("content", {}).get("application/json", {}).get("schema", {})
        of = f" {_kind(schema)}" if "$ref" in schema else ""
        what = _text(told["description"]).replace("Successful Response", "Done")
        yield f"| {status} | {what}{':' if of else ''}{of} |"
    yield ""


def _shared(api: Schema) -> Iterator[str]:
    for name, schema in api["components"]["schemas"].items():
        if not name.endswith("Request"):
            yield f"## {name}\n"
            if told := schema.get("description"):
                yield f"{_text(told)}\n"
            yield from _fields(schema, api)


def main() -> None:
    """Write the document, where told to."""
    parser = argparse.ArgumentParser(prog="python -m tests.checks.reference", description=__doc__)
    parser.add_argument("--write", action="store_true", required=True, help="as the interface is now")
    parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    PLACE.write_text(written())


if __name__ == "__main__":
    main()
