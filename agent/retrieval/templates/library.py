"""All templates of a shop, and calls of them.

Guarantees that there is a template ``default``: the shop's file of that name, else one multi_match over
``opensearch.fields``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pydantic import ValidationError

from agent.errors import Permanent, Refused
from agent.policy.call import UNSPLIT, TemplateCall
from agent.policy.plan import Plan, plan
from agent.retrieval.templates.markers import Body, path_of
from agent.retrieval.templates.parameters import packed
from agent.retrieval.templates.template import DEFAULT, Described, Template
from agent.sections import OpenSearchSettings
from agent.settings import Settings

MAX_SEGMENT_CHARS = 200
REMEMBERED = 4096
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""Of a template, as requests name it."""
TIES_BY_ID = [
    {"_score": {"order": "desc"}},
    {"object_id": {"order": "asc", "unmapped_type": "keyword"}},
]
"""27 % of the clicks fall on tied scores in a short-titled catalogue, and their order alone moves the
figures by more than most improvements do."""


class Templates:
    """The templates of one shop; read once."""

    def __init__(self, settings: OpenSearchSettings) -> None:
        """Read the folder's templates; raises Permanent, which names the file and the JSON path."""
        self._all = {DEFAULT: _plain(settings)}
        if settings.templates is not None:
            self._all |= _read(settings.templates)
        self.rendering = lru_cache(REMEMBERED)(self._rendering)
        """Return a call's template and the values of its parameters."""
        self._bare = lru_cache(REMEMBERED)(partial(self._called, params={}))
        self.replayed = lru_cache(REMEMBERED)(self._replayed)
        """Return the call by which a segment's evidence is looked at; None: no template makes it any more."""

    def __iter__(self) -> Iterator[Template]:
        return iter(self._all.values())

    def call(self, name: str, params: Mapping[str, Any]) -> TemplateCall:
        """Return the call of a search; raises Refused, which names what is wrong."""
        return self._called(name, params) if params else self._bare(name)

    def _called(self, name: str, params: Mapping[str, Any]) -> TemplateCall:
        template = self._all.get(name)
        if template is None:
            raise Refused(f"template: there is no {name[:100]}; there are {', '.join(sorted(self._all))}")
        values = template.parameters.values(params)
        given = template.parameters.changed(values)
        return TemplateCall(
            template=name,
            params=packed(given) if given else "",
            segment=_segment(template, given),
            as_judged=template.is_judged(values),
            by_relevance=template.by_relevance(values),
            instead=template.instead,
            mixes=template.mixes,
        )

    def _replayed(self, segment: str) -> TemplateCall | None:
        name, _, rest = segment.partition("?")
        template = self._all.get(DEFAULT if segment == UNSPLIT else name)
        if template is None:
            return None
        described = template.parameters.described
        fixed = {one: p.judged_by for one, p in described.items() if not p.segment_by}
        try:
            split = {one: json.loads(value) for one, value in parse_qsl(rest, strict_parsing=bool(rest))}
            call = self.call(template.name, fixed | split)
        except (Refused, ValueError):
            return None
        return call if call.segment == segment else None

    def clause(self, plan: Plan) -> Body:
        """Return what stands in the place of the text clause of a plan's template."""
        template, values = self.rendering(plan.call)
        return template.clause(plan, values)

    def _rendering(self, call: TemplateCall) -> tuple[Template, dict[str, Any]]:
        template = self._all[call.template]
        return template, template.parameters.values(json.loads(call.params or "{}"))


@lru_cache(8)
def judged_call(settings: OpenSearchSettings) -> TemplateCall:
    """Return the call by which unsplit evidence is looked at; raises Permanent where a template is wrong."""
    call = Templates(settings).replayed(UNSPLIT)
    assert call is not None  # noqa: S101 - the template default is there always
    return call


def judged_plan(user_query: str, rewrite: str, settings: Settings) -> Plan:
    """Return the plan of a rewrite as searches that learn make it."""
    return plan(user_query, rewrite, settings.plan, judged_call(settings.opensearch))


def _segment(template: Template, given: Mapping[str, Any]) -> str:
    split = {name: value for name, value in given.items() if template.parameters.described[name].segment_by}
    if template.name == DEFAULT and not split:
        return UNSPLIT
    pairs = [(name, packed(split[name])) for name in sorted(split)]
    segment = f"{template.name}?{urlencode(pairs)}" if pairs else template.name
    if len(segment) > MAX_SEGMENT_CHARS:
        raise Refused(f"params: those that split evidence must take at most {MAX_SEGMENT_CHARS} characters")
    return segment


def _plain(settings: OpenSearchSettings) -> Template:
    clause = {
        "query": "$user_query",
        "fields": list(settings.fields),
        "operator": settings.operator,
        "lenient": True,
    }
    body = {
        "query": {"$query": {"multi_match": clause}},
        "sort": TIES_BY_ID,
        "track_scores": True,
        "track_total_hits": True,
    }
    return Template(DEFAULT, Described(body=body, mode="recall"), is_shops=False)


def _read(folder: Path) -> dict[str, Template]:
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise Permanent(f"opensearch.templates: no *.json in {folder}")
    for path in paths:
        if path.stem == UNSPLIT or not NAME.fullmatch(path.stem):
            raise Permanent(
                f"template {path}: its name must be of letters, digits, _ and -, and not {UNSPLIT}"
            )
    return {path.stem: _template(path) for path in paths}


def _template(path: Path) -> Template:
    try:
        written = json.loads(path.read_bytes(), object_pairs_hook=_once)
        return Template(path.stem, Described.model_validate(written))
    except ValidationError as error:
        raise Permanent(f"template {path}: {_first(error)}") from error
    except (OSError, ValueError, RecursionError, Permanent) as error:
        raise Permanent(f"template {path}: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; raises Permanent where a key stands in it twice."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise Permanent(
            f'"{next(name for name in names if names.count(name) > 1)}" stands twice in an object'
        )
    return made


def _first(error: ValidationError) -> str:
    """Return the first of what is wrong, by its JSON path."""
    one = error.errors()[0]
    return f"{path_of(*one['loc'])}: {one['msg']}"
