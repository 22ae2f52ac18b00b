"""The searches of OpenSearch that one answer of `_search` is put together of. Pure.

Most answers are one search's. A page that is tried out on takes the raw list, the drawn one and those of the
draw's other choices; what follows such a page takes the rest of the drawn list, without what was shown. A
page of a trial takes both versions' lists, of which one is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.policy.plan import Plan
from agent.retrieval.templates import Mode, Template, lacking
from agent.retrieval.templates.markers import Body
from agent.retrieval.templates.template import SHOWN_ALONE
from agent.serve.comparing import differ
from agent.serve.drafting import Drafted, Drafts, Wanted
from agent.serve.dropin.answering import drafted, hits_of, is_whole, objects_of, total_of, with_total
from agent.serve.dropin.reading import Asked, beside
from feedback.records import Pinned


@dataclass(frozen=True, kw_only=True)
class Part:
    """One search of a template."""

    plan: Plan
    template: Template
    values: Mapping[str, Any]
    size: int
    offset: int = 0
    without: tuple[str, ...] = ()
    documents: bool | None = None
    """See `Template.render`."""
    given: Body | None = None
    """The client's own body, in place of what the template makes; it is not made again."""

    @property
    def body(self) -> Body:
        """What OpenSearch is sent."""
        return self._rendered(None) if self.given is None else self.given

    def recalled(self, answer: Body) -> Body | None:
        """Return what to search in its place where too few were found; None: enough, or who knows."""
        total = total_of(answer) if self.given is None else None
        if total is None or not self.template.finds_few(self.plan, total + len(self.without)):
            return None
        return self._rendered("recall")

    def _rendered(self, mode: Mode | None) -> Body:
        body = self.template.render(
            self.plan, self.values, size=self.size, offset=self.offset, mode=mode, documents=self.documents
        )
        return lacking(body, self.without)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is answered."""

    answer: Body
    draft: Drafted | None = None
    trial: int = 0
    """See Impression."""


class Whole(Protocol):
    """An answer of several searches."""

    @property
    def parts(self) -> Sequence[Part]:
        """All of them."""
        ...

    def page(self, answers: Sequence[Body]) -> Page | None:
        """Return the page out of the answers, one a part; None: they do not tell what it would be."""
        ...


@dataclass(frozen=True, kw_only=True)
class Search:
    """What all parts of an answer have in common."""

    template: Template
    values: Mapping[str, Any]
    asked: Asked

    def part(
        self,
        plan: Plan,
        *,
        size: int,
        offset: int = 0,
        without: tuple[str, ...] = (),
        documents: bool | None = None,
    ) -> Part:
        """Return the search of one plan."""
        return Part(
            plan=plan,
            template=self.template,
            values=self.values,
            size=size,
            offset=offset,
            without=without,
            documents=documents,
        )

    def own(self, plan: Plan, *, size: int) -> Part:
        """Return the first page of the client's own search, as it came but for its size."""
        return self._given(plan, self.asked.body, size=size)

    def shown(self, plan: Plan) -> Part:
        """Return the first page as it is shown."""
        if self.asked.is_templates and not plan.is_raw:
            return self.part(plan, size=self.asked.size)
        return self._given(plan, self.with_words(plan), size=self.asked.size)

    def looked_at(self, plan: Plan) -> Part:
        """Return the first page of which nobody sees more than which objects are on it."""
        if self.asked.is_templates:
            return self.part(plan, size=self.asked.size, documents=False)
        body = {name: value for name, value in self.with_words(plan).items() if name not in SHOWN_ALONE}
        return self._given(plan, {**body, "_source": False}, size=self.asked.size)

    def with_words(self, plan: Plan) -> Body:
        """Return the client's own body, with a plan's words beside its query where they can be."""
        added = None if plan.is_raw else self.template.added_clause(plan, self.values)
        return self.asked.body if added is None else beside(self.asked.body, added)

    def _given(self, plan: Plan, body: Body, *, size: int) -> Part:
        given = {**body, "size": size, "from": 0}
        return Part(plan=plan, template=self.template, values=self.values, size=size, given=given)


class Draft:
    """A first page drafted from two lists."""

    def __init__(self, wanted: Wanted, search: Search, drafts: Drafts, seed: str) -> None:
        """Take the page's query_id as the seed."""
        self._wanted = wanted
        self._drafts = drafts
        self._seed = seed
        self._field = search.asked.object_id_field
        size = search.asked.size
        self.parts = [
            search.own(wanted.raw, size=size) if plan == wanted.raw
            else search.part(plan, size=size, documents=None if plan == wanted.drawn else False)
            for plan in wanted.plans
        ]  # fmt: skip

    def page(self, answers: Sequence[Body]) -> Page | None:
        """See Whole."""
        plans = [part.plan for part in self.parts]
        shown = {self._wanted.raw, self._wanted.drawn}
        lists = [
            objects_of(answer, self._field if plan in shown else "")
            for plan, answer in zip(plans, answers, strict=True)
        ]
        if any(one is None for one in lists):
            return None
        found = {plan: one for plan, one in zip(plans, lists, strict=True) if one is not None}
        draft = self._drafts.drafted(self._wanted, found, seed=self._seed)
        of = dict(zip(plans, answers, strict=True))
        raw, drawn = of[self._wanted.raw], of[self._wanted.drawn]
        return Page(answer=drafted(draft.object_ids, raw, drawn), draft=draft)


class Compared:
    """A first page that counts for a trial where the other version's list is another."""

    def __init__(self, shown: Plan, other: Plan, search: Search, trial: int) -> None:
        """Take the version on trial."""
        self._asked = search.asked
        self._trial = trial
        self.parts = [search.shown(shown), search.looked_at(other)]

    def page(self, answers: Sequence[Body]) -> Page:
        """See Whole."""
        shown, other = answers
        own, others = objects_of(shown, self._asked.object_id_field), objects_of(other, "")
        told = own is not None and others is not None and differ(own, others, self._asked.size)
        return Page(answer=shown, trial=self._trial if told else 0)


class Later:
    """A page after a drafted one: the drawn list without what was shown."""

    def __init__(self, pinned: Pinned, plans: tuple[Plan, Plan], search: Search) -> None:
        """Take the first page, and the plans that it was drafted from: raw, drawn."""
        raw, drawn = plans
        asked, self._first = search.asked, pinned.object_ids
        self._again = self._first[asked.offset : asked.offset + asked.size]
        rest = search.part(
            drawn,
            size=asked.size - len(self._again),
            offset=max(0, asked.offset - len(self._first)),
            without=self._first,
        )
        before = [search.own(raw, size=pinned.size), search.part(drawn, size=pinned.size)]
        self.parts = [rest, *(before if self._again else [])]

    def page(self, answers: Sequence[Body]) -> Page | None:
        """See Whole."""
        rest, *before = answers
        following = hits_of(rest)
        if following is None or not all(map(is_whole, answers)) or any(hits_of(b) is None for b in before):
            return None
        repeated = drafted(self._again, *before)["hits"]["hits"] if before else []
        answer = {**rest, "hits": {**rest["hits"], "hits": [*repeated, *following]}}
        total = total_of(rest)
        return Page(answer=answer if total is None else with_total(answer, len(self._first) + total))
