"""Search templates: what is marked, what is rendered, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.errors import Permanent, Refused
from agent.policy.call import DEFAULT_CALL, TemplateCall, params_of
from agent.policy.plan import Plan, form_of, plan
from agent.retrieval.templates import Templates, lacking
from agent.retrieval.templates.checking import unknown_fields
from agent.retrieval.templates.clauses import boosted, relaxed
from agent.retrieval.templates.template import Described, Template
from agent.sections import OpenSearchSettings, PlanSettings
from feedback.records import Form

SHOP = OpenSearchSettings(fields=("title^3", "category"), operator="and")
SHOP_CLAUSE = {
    "multi_match": {"query": "MW3", "fields": ["title^3", "category"], "operator": "and", "lenient": True}
}
ADDED = {
    "multi_match": {
        "query": "modern warfare",
        "fields": ["title^3", "category"],
        "operator": "or",
        "lenient": True,
        "boost": 0.7,
    }
}
CLAUSE = {"match": {"title": {"query": "$user_query", "minimum_should_match": "75%"}}}
FACETED: dict[str, Any] = {
    "body": {
        "query": {
            "bool": {
                "must": [{"$query": CLAUSE}],
                "filter": [{"term": {"brand": "$brand"}}, {"range": {"price": {"lte": "$most", "gte": 0}}}],
            }
        },
        "post_filter": {"term": {"colour": "$colour"}},
        "aggs": {"brands": {"terms": {"field": "brand"}}, "near": {"range": {"field": "$facet"}}},
        "sort": "$sort",
        "track_total_hits": True,
    },
    "parameters": {
        "brand": {"segment_by": True},
        "most": {"schema": {"type": "number"}},
        "colour": {},
        "facet": {},
        "sort": {"default": ["_score"], "schema": {"type": "array"}},
    },
}


def templates_of(folder: Path, **described: dict[str, Any]) -> Templates:
    for name, one in described.items():
        (folder / f"{name}.json").write_text(json.dumps(one))
    return Templates(OpenSearchSettings(templates=folder))


def body_of(templates: Templates, user_query: str, text: str = "", **params: Any) -> dict[str, Any]:  # noqa: ANN401
    call = templates.call("default", params)
    template, values = templates.rendering(call)
    return template.render(plan(user_query, text, PlanSettings(), call), values, size=10)


def query(plan: Plan) -> dict[str, Any]:
    return Templates(SHOP).clause(plan)


def test_a_raw_plan_is_the_shops_own_clause_and_nothing_else() -> None:
    assert query(Plan(user_query="MW3")) == SHOP_CLAUSE


def test_added_words_match_beside_the_shops_clause_with_less_weight() -> None:
    asked = query(plan("MW3", "mw3 modern warfare", PlanSettings()))
    assert asked == {"bool": {"should": [SHOP_CLAUSE, ADDED], "minimum_should_match": 1}}


def test_instead_leads_with_the_rewrite_and_keeps_the_own_words_light() -> None:
    asked = query(Plan(user_query="MW3", terms=("shooter",), form=Form.INSTEAD, own_weight=0.5))
    lead, own = asked["bool"]["should"]
    assert (lead["multi_match"]["query"], lead["multi_match"].get("boost")) == ("shooter", None)
    assert (own["multi_match"]["query"], own["multi_match"]["boost"]) == ("MW3", 0.5)


def test_equal_scores_are_ordered_by_id_also_where_an_index_has_no_such_field() -> None:
    template, values = Templates(SHOP).rendering(DEFAULT_CALL)
    asked = template.render(Plan(user_query="x"), values, size=3, offset=6, documents=False)
    assert asked["sort"][0] == {"_score": {"order": "desc"}}
    assert asked["sort"][1] == {"object_id": {"order": "asc", "unmapped_type": "keyword"}}
    assert (asked["size"], asked["from"], asked["_source"]) == (3, 6, False)


def test_a_search_without_some_objects_keeps_its_query() -> None:
    asked = lacking({"query": {"match_all": {}}, "size": 3}, ["a", "b"])
    assert asked["query"]["bool"]["must"] == [{"match_all": {}}]
    assert asked["query"]["bool"]["must_not"] == [{"ids": {"values": ["a", "b"]}}]


def test_a_raw_search_is_the_shops_body_word_for_word(tmp_path: Path) -> None:
    asked = body_of(
        templates_of(tmp_path, default=FACETED), "grey couch", brand="acme", most=90, colour="red", facet="x"
    )
    own = {"match": {"title": {"query": "grey couch", "minimum_should_match": "75%"}}}
    assert asked == {
        "query": {
            "bool": {
                "must": [own],
                "filter": [{"term": {"brand": "acme"}}, {"range": {"price": {"lte": 90, "gte": 0}}}],
            }
        },
        "post_filter": {"term": {"colour": "red"}},
        "aggs": {"brands": {"terms": {"field": "brand"}}, "near": {"range": {"field": "x"}}},
        "sort": ["_score"],
        "track_total_hits": True,
        "from": 0,
        "size": 10,
    }


def test_what_a_missing_parameter_stands_in_is_left_out(tmp_path: Path) -> None:
    asked = body_of(templates_of(tmp_path, default=FACETED), "couch", brand="acme")
    assert asked["query"]["bool"]["filter"] == [{"term": {"brand": "acme"}}]
    assert "post_filter" not in asked
    assert list(asked["aggs"]) == ["brands"]


def test_facets_make_a_rewrite_score_only_and_recall_lets_it_match(tmp_path: Path) -> None:
    (must,) = body_of(templates_of(tmp_path, default=FACETED), "couch", "sofa")["query"]["bool"]["must"]
    assert must["bool"]["must"] == [{"match": {"title": {"query": "couch", "minimum_should_match": "75%"}}}]
    words = {"match": {"title": {"query": "sofa", "operator": "or"}}}
    added = {"bool": {"must": [words], "boost": 0.7}}
    assert must["bool"]["should"] == [added]
    (must,) = body_of(templates_of(tmp_path, default=FACETED | {"mode": "recall"}), "couch", "sofa")["query"][
        "bool"
    ]["must"]
    assert must["bool"]["minimum_should_match"] == 1


def test_beside_facets_no_rewrite_takes_the_querys_place(tmp_path: Path) -> None:
    long = " ".join(["word"] * 20)
    call = templates_of(tmp_path, default=FACETED).call("default", {})
    assert form_of(long, PlanSettings(), call) is Form.ADD
    assert form_of(long, PlanSettings()) is Form.INSTEAD
    assert plan(long, "sofa", PlanSettings(), call).form is Form.ADD


@pytest.mark.parametrize(
    ("sort", "by_relevance"),
    [
        ([], True),
        (["_score", "price"], True),
        ([{"_score": {"order": "desc"}}, {"price": "asc"}], True),
        ([{"_score": "desc"}], True),
        (["_score"], True),
        ([{"_score": {"order": "DESC"}}], True),
        ([{"_score": "desc", "object_id": "asc"}], True),
        ([{"_script": {"script": "1"}}], False),
        ([{"_score": "asc"}], False),
        (["price"], False),
        ([{"price": "asc"}, "_score"], False),
    ],
)
def test_only_what_is_sorted_by_relevance_is_so(
    tmp_path: Path, sort: list[Any], *, by_relevance: bool
) -> None:
    call = templates_of(tmp_path, default=FACETED).call("default", {"sort": sort})
    assert call.by_relevance is by_relevance


def test_parameters_that_split_evidence_make_segments_that_can_be_searched_again(tmp_path: Path) -> None:
    templates = templates_of(tmp_path, default=FACETED, sale=FACETED)
    plain = templates.call("default", {"most": 5})
    assert (plain.segment, plain.as_judged) == ("all", False)
    split = templates.call("default", {"brand": "A|b {c}", "most": 5})
    assert split.segment.startswith("default?brand=")
    assert not set("|{} ") & set(split.segment)
    again = templates.replayed(split.segment)
    assert again is not None
    assert (again.segment, json.loads(again.params), again.as_judged) == (
        split.segment,
        {"brand": "A|b {c}"},
        True,
    )
    assert templates.call("sale", {}).segment == "sale"
    assert templates.replayed("all") == TemplateCall(instead=False)
    assert templates.replayed("gone?brand=%22x%22") is None
    assert templates.replayed("default?gone=%22x%22") is None
    assert templates.replayed("default?brand=nojson") is None


def test_a_replayed_parameter_is_what_verdicts_rest_on(tmp_path: Path) -> None:
    stocked = json.loads(json.dumps(FACETED))
    stocked["parameters"]["colour"] = {"replay": "grey"}
    templates = templates_of(tmp_path, default=stocked)
    again = templates.replayed("all")
    assert again is not None
    assert params_of(again.params) == {"colour": '"grey"'}
    assert again.as_judged
    assert not templates.call("default", {}).as_judged


def test_a_dollar_can_be_written(tmp_path: Path) -> None:
    asked = body_of(
        templates_of(
            tmp_path,
            default={"body": {"query": {"bool": {"must": [{"$query": CLAUSE}, {"term": {"a": "$$x"}}]}}}},
        ),
        "couch",
    )
    assert asked["query"]["bool"]["must"][1] == {"term": {"a": "$x"}}


@pytest.mark.parametrize(
    "hostile", ["*:*", "}{", '"}},{"match_all":{}', "$brand", "$user_query", "$query", "a" * 500]
)
def test_words_are_values_whatever_they_are(tmp_path: Path, hostile: str) -> None:
    templates = templates_of(tmp_path, default=FACETED)
    (must,) = body_of(templates, hostile, hostile, brand="acme")["query"]["bool"]["must"]
    found = must["match"]["title"] if "match" in must else must["bool"]["must"][0]["match"]["title"]
    assert found["query"] == hostile


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"colours": "red"}, "params: there is no colours; there are brand, most"),
        ({"most": "cheap"}, "params.most: 'cheap' is not of type 'number'"),
        ({"brand": "x" * 300}, "those that split evidence must take at most 200"),
        ({"colour": "x" * 5000}, "must take at most 4096"),
        ({"colour": [float("nan")]}, "params.colour: nan is no JSON number"),
        ({"colour": json.loads("[" * 100 + "]" * 100)}, "params.colour: is nested too deep"),
        ({"\ud800": 1}, r"there is no \\ud800"),
    ],
)
def test_wrong_parameters_are_refused_by_name(tmp_path: Path, params: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        templates_of(tmp_path, default=FACETED).call("default", params)


def test_an_unknown_template_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no b; there are default, sale"):
        templates_of(tmp_path, sale=FACETED).call("b", {})


def wrong(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"body": {"query": {"$query": CLAUSE}}} | changes


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (wrong(body={"query": {"match_all": {}}}), r"\$: must hold one text clause.*it is missing"),
        (
            wrong(body={"query": {"bool": {"must": [{"$query": CLAUSE}, {"$query": CLAUSE}]}}}),
            r"stands at \$\.query\.bool\.must\[0\]\.\$query, \$\.query\.bool\.must\[1\]\.\$query",
        ),
        (
            wrong(body={"rescore": {"$query": CLAUSE}}),
            r"\$\.rescore\.\$query: the text clause must stand in query",
        ),
        (wrong(body={"query": {"$query": {"match": {"title": "sofa"}}}}), r"\$user_query must stand in it"),
        (wrong(body={"query": {"$query": CLAUSE}, "sort": "$by"}), r'\$\.sort: "\$by" is no parameter'),
        (wrong(parameters={"brand": {}}), r"\$\.parameters\.brand: stands nowhere in the body"),
        (wrong(parameters={"size": {}}), r"\$\.parameters\.size: is the request's own"),
        (wrong(parameters={"Brand": {}}), r"\$\.parameters\.Brand"),
        (wrong(mode="both"), r"\$\.mode: Input should be 'recall' or 'rerank'"),
        (wrong(modes="both"), r"\$\.modes: Extra inputs"),
        (
            {
                "body": {
                    "query": {"$query": {"match": {"title": {"query": "$user_query", "fuzziness": "$f"}}}}
                },
                "parameters": {"f": {}},
            },
            r"\$\.parameters\.f: without a value the text clause .* falls with it",
        ),
        (
            {
                "body": {"query": {"$query": CLAUSE}, "sort": "$s"},
                "parameters": {"s": {"schema": {"type": "list"}}},
            },
            r"\$\.parameters\.s\.schema: 'list' is not valid",
        ),
        (
            {
                "body": {"query": {"$query": CLAUSE}, "sort": "$s"},
                "parameters": {"s": {"default": 3, "schema": {"type": "array"}}},
            },
            r"\$\.parameters\.s: params\.s: 3 is not of type 'array'",
        ),
        (
            {
                "body": {"query": {"$query": CLAUSE}, "sort": "$s"},
                "parameters": {"s": {"segment_by": True, "replay": []}},
            },
            r"\$\.parameters\.s: splits evidence",
        ),
        (
            wrong(body={"query": {"$query": {"query_string": {"query": "$user_query"}}}}),
            r"\$\.query\.\$query: added words need a clause of match",
        ),
        (
            wrong(body={"query": {"$query": {"bool": {"must": [CLAUSE], "filter": []}}}}),
            r"\$\.query\.\$query\.bool: holds filter",
        ),
        (
            wrong(body={"query": {"bool": {"must": [{"$query": CLAUSE, "term": {"a": 1}}]}}}),
            r"\$\.query\.bool\.must\[0\]\.\$query: must be a clause and stand alone",
        ),
        (
            {"body": {"query": {"$query": CLAUSE}, "sort": [{"$by": "desc"}]}, "parameters": {"by": {}}},
            r"\$\.sort\[0\]\.\$by: a parameter is a value, not a key",
        ),
        (
            wrong(body={"query": {"$query": CLAUSE}, "aggs": {"a": {}}, "min_score": 1}),
            r"\$\.min_score: words that score would change what is found",
        ),
        (
            wrong(body={"query": {"$query": CLAUSE}, "track_total_hits": False}, min_hits=3, mode="rerank"),
            r"\$\.track_total_hits: must count as far as min_hits",
        ),
        (
            {
                "body": {"query": {"$query": CLAUSE}, "sort": "$s"},
                "parameters": {"s": {"schema": {"$ref": "#/definitions/none"}}},
            },
            r"\$\.parameters\.s\.schema: .*none",
        ),
        (wrong(added={"match": {"title": "$user_query"}, "term": {}}), r"\$\.added: must be one clause"),
        (
            wrong(added={"match": {"title": {"query": "$user_query", "slop": "$n"}}}),
            r'\$\.added\.match\.title\.slop: "\$n" is no parameter',
        ),
        (wrong(added={"match": {"title": "sofa"}}), r"\$\.added: must be one clause, and \$user_query"),
        (
            wrong(added={"bool": {"must": [{"query_string": {"query": "$user_query"}}]}}),
            r"\$\.added\.bool\.must\[0\]\.query_string\.query: a model's words are never query syntax",
        ),
        (
            wrong(added={"script": {"script": {"source": "$user_query"}}}),
            r"\$\.added\.script\.script\.source: a model's words are never .* a script",
        ),
        (
            wrong(added={"match": {"title": {"query": "$user_query", "zero_terms_query": "all"}}}),
            r"\$\.added\.match\.title\.zero_terms_query: words of which the analyzer leaves nothing",
        ),
    ],
)
def test_a_wrong_template_is_refused_by_file_and_path(
    tmp_path: Path, described: dict[str, Any], said: str
) -> None:
    with pytest.raises(Permanent, match=said) as caught:
        templates_of(tmp_path, default=described)
    assert "default.json" in str(caught.value)


def test_no_json_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=r"no \*\.json in"):
        Templates(OpenSearchSettings(templates=tmp_path))
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(Permanent, match=r"a\.json: Expecting property name"):
        Templates(OpenSearchSettings(templates=tmp_path))


@pytest.mark.parametrize("name", ["all", ".x", "a|b", "my template", "x" * 41])
def test_a_template_that_no_request_could_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Permanent, match="its name must be of letters"):
        templates_of(tmp_path, **{name: wrong()})


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"body": {"query": {"match": {}}, "query": {"match": {}}}}')
    with pytest.raises(Permanent, match='"query" stands twice in an object'):
        Templates(OpenSearchSettings(templates=tmp_path))


def test_the_words_may_stand_elsewhere_too_and_stay_the_shoppers_there(tmp_path: Path) -> None:
    phrase = {"match_phrase": {"title": "$user_query"}}
    described = {"body": {"query": {"bool": {"must": [{"$query": CLAUSE}], "should": [phrase]}}}}
    asked = body_of(templates_of(tmp_path, default=described), "couch", "sofa")
    assert asked["query"]["bool"]["should"] == [{"match_phrase": {"title": "couch"}}]


def test_a_value_that_looks_like_a_marker_is_a_value(tmp_path: Path) -> None:
    clause = {"multi_match": {"query": "$user_query", "fields": ["title"], "analyzer": "$analyzer"}}
    described = {
        "body": {"query": {"$query": clause}, "sort": "$sort"},
        "parameters": {"analyzer": {"default": "english"}, "sort": {}},
    }
    templates = templates_of(tmp_path, default=described)
    asked = body_of(templates, "couch", analyzer="$user_query", sort=["$from", {"$query": 1}])
    assert asked["query"]["multi_match"]["analyzer"] == "$user_query"
    assert asked["sort"] == ["$from", {"$query": 1}]


def test_one_is_not_true(tmp_path: Path) -> None:
    described = {"body": {"query": {"$query": CLAUSE}, "explain": "$e"}, "parameters": {"e": {"default": 1}}}
    templates = templates_of(tmp_path, default=described)
    assert templates.call("default", {"e": 1}).params == ""
    assert templates.call("default", {"e": True}).params == '{"e": true}'
    assert body_of(templates, "couch", e=True)["explain"] is True


def test_the_template_of_the_readme_is_one(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "agent/retrieval/README.md").read_text()
    (tmp_path / "default.json").write_text(readme.split("```json\n")[1].split("```")[0])
    (template,) = Templates(OpenSearchSettings(templates=tmp_path))
    assert list(template.parameters.described) == ["language", "most", "sort"]
    assert unknown_fields(template.body, {"title", "brand", "price", "language"}) == []
    assert unknown_fields(template.body, {"title", "price", "language"}) == [
        "$.query.bool.must[0].$query.multi_match.fields[1]: the index has no field brand",
        "$.aggs.brands.terms.field: the index has no field brand",
    ]


def test_a_clause_of_its_own_for_added_words_is_used() -> None:
    own = {"match": {"title": {"query": "$user_query", "boost": 2.0}}}
    described = Described(body={"query": {"$query": {"query_string": {"query": "$user_query"}}}}, added=own)
    clause = Template("t", described).clause(plan("couch", "sofa", PlanSettings()), {})
    added = {"match": {"title": {"query": "sofa", "boost": 2.0}}}
    assert clause["bool"]["should"][1] == {"bool": {"must": [added], "boost": 0.7}}


def test_added_words_of_which_the_analyzer_leaves_nothing_find_nothing() -> None:
    options = {"query": "$user_query", "zero_terms_query": "all"}
    assert relaxed({"match": {"title": options}}) == {
        "match": {"title": {"query": "$user_query", "operator": "or"}}
    }
    assert relaxed({"multi_match": options}) == {"multi_match": {"query": "$user_query", "operator": "or"}}


def test_a_clause_of_several_is_relaxed_without_its_phrases() -> None:
    words = {"match": {"title": "$user_query"}}
    phrase = {"match_phrase": {"title": {"query": "$user_query", "boost": 3}}}
    cross = {"multi_match": {"query": "$user_query", "type": "phrase", "fields": ["title"]}}
    loose = {"match": {"title": {"query": "$user_query", "operator": "or"}}}
    assert relaxed({"bool": {"must": words, "should": [phrase, cross], "boost": 2}}) == {
        "bool": {"should": [loose], "minimum_should_match": 1, "boost": 2}
    }
    assert relaxed({"dis_max": {"queries": [words, phrase], "tie_breaker": 0.3}}) == {
        "dis_max": {"queries": [loose], "tie_breaker": 0.3}
    }
    assert relaxed({"bool": {"must": [phrase]}}) is None
    assert boosted(loose, 0.5) == {"bool": {"must": [loose], "boost": 0.5}}
    assert boosted({"multi_match": {"query": "a"}}, 0.5) == {"multi_match": {"query": "a", "boost": 0.5}}
    already = {"multi_match": {"query": "a", "boost": 3}}
    assert boosted(already, 0.5) == {"bool": {"must": [already], "boost": 0.5}}


def test_where_only_a_phrase_is_searched_nothing_is_added() -> None:
    phrase = {"match_phrase": {"title": "$user_query"}}
    template = Template("t", Described(body={"query": {"$query": phrase}}))
    assert template.clause(plan("couch", "sofa", PlanSettings()), {}) == {"match_phrase": {"title": "couch"}}
