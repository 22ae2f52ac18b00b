"""Reports as pages: their parts on values worked out by hand, and what no text may do to them."""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from report_figures import HOSTILE, backtest, demo, labels
from report_html import Parsed
from reported_week import LONG, SCRIPT, TURNED

from agent.errors import Permanent
from agent.reporting import of_backtest, of_demo, of_labels
from agent.reporting.axes import Frame, ticks
from agent.reporting.bars import interval_cell, lengths
from agent.reporting.charts import Looks, Mark, Series, lines
from agent.reporting.command import command_line, without_secrets
from agent.reporting.compared import Compared, ablations, wins_and_losses
from agent.reporting.files import Places, finite, may_write, save
from agent.reporting.numbers import decimal, lasting, share, signed, signed_share
from agent.reporting.page import html
from agent.reporting.parts import Chart, Document, Headline, Section, Table, Text
from agent.reporting.scatter import Point, scatter
from agent.reporting.words import UNNAMED, rewritten, shown, words

ROOT = Path(__file__).parents[2]
MADE: Mapping[str, tuple[Callable[..., dict[str, Any]], Callable[[Mapping[str, Any], str], Document]]] = {
    "labels": (labels, of_labels.document),
    "backtest": (backtest, of_backtest.document),
    "demo": (demo, of_demo.document),
}


def page_of(kind: str, **given: Any) -> Parsed:  # noqa: ANN401 - whatever the maker takes
    make, document = MADE[kind]
    return Parsed(html(document(finite(make(**given)), f"{kind}.json")))


def document(**more: Any) -> Document:  # noqa: ANN401 - its fields
    headline = Headline(figure="1", sentence="One.")
    return Document(title="T", subtitle="", headline=headline, **{"sections": [], **more})


def test_a_long_text_is_cut_and_says_how_long_it_was() -> None:
    assert shown("x" * 10_000, 5) == "xxxxx… (10,000 characters)"
    assert shown("x" * 160) == "x" * 160


def test_what_turns_or_breaks_the_page_is_shown_as_a_mark() -> None:
    assert shown(TURNED) == "sofa \ufffdgnorw\ufffd grey"
    assert shown("a\x00b\nc\ud800") == "a\ufffdb\ufffdc\ufffd"
    assert shown("👩‍🔧 कपड़े") == "👩‍🔧 कपड़े"  # joiners are part of words


def test_a_rewrite_marks_the_words_that_the_query_had_not() -> None:
    assert rewritten("Grey sofa", "sofa bed") == Markup("<bdi>sofa <ins>bed</ins></bdi>")
    assert rewritten("sofa", "<b>") == Markup("<bdi><ins>&lt;b&gt;</ins></bdi>")
    assert rewritten("sofa", "") == rewritten("sofa", "", instead="sofa") == "\u2013"
    assert rewritten("sofaa", "", instead="sofa") == Markup("<bdi><ins>sofa</ins></bdi>")


def test_a_query_that_may_not_be_named_has_no_words_and_no_rewrite() -> None:
    assert words(None) == rewritten(None, "secret", "secret") == UNNAMED


def test_figures_are_told_as_people_write_them() -> None:
    assert (decimal(1234.5, 1), decimal(None), decimal(float("nan"))) == ("1,234.5", "\u2013", "\u2013")
    assert (signed(-0.5, 1), signed(0.5, 1), signed(0.00001, 2)) == ("\u22120.5", "+0.5", "0.00")
    assert (share(0.123), signed_share(-0.05, 0)) == ("12.3\u00a0%", "\u22125\u00a0%")
    assert [lasting(s) for s in (9, 61, 7300, 200_000, None)] == ["9 s", "1 min", "2 h", "2 d", "\u2013"]


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 1.0) == [0.0, 0.5, 1.0]
    assert ticks(0.0, 1.0, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(-30, 90) == [0, 50]
    assert ticks(3.0, 3.0) == [3.0]


def svg_of(chart: Any) -> str:  # noqa: ANN401 - a Chart among other parts
    assert isinstance(chart, Chart)
    return str(chart.svg or "")


def test_queries_at_one_place_are_one_point_which_names_some_of_them() -> None:
    same = [Point(query=f"q{i}", raw=0.0, rewritten=1.0) for i in range(7)]
    drawn = scatter("S", [*same, Point(query=SCRIPT, raw=1.0, rewritten=0.5)], up="served")
    svg = svg_of(drawn)
    assert svg.count("<circle") == 2
    assert "q0; q1; q2; q3; q4; and 2 more: 0.000 → 1.000" in svg
    assert "&lt;script&gt;" in svg
    assert "<script" not in svg
    assert [(one.name, one.value) for one in drawn.legend] == [
        ("better", "7"),
        ("worse", "1"),
        ("the same", "0"),
    ]
    assert 'aria-label="S: 8 queries, raw across, served up; 7 better, 1 worse, 0 the same"' in svg


def test_a_point_of_a_query_that_may_not_be_named_does_not_name_it() -> None:
    assert UNNAMED in svg_of(scatter("S", [Point(query=None, raw=0.0, rewritten=1.0)], up="served"))


LOOKS = Looks(title="L", across=str, up=lambda value: decimal(value, 1))


def test_a_line_has_a_gap_where_nothing_is_known_and_its_figures_in_a_table() -> None:
    series = Series(
        name="a", points=[(0, 1.0), (1, 2.0), (2, None), (3, 4.0)], band=[(0, 0.5, 1.5), (1, 1.0, 3.0)]
    )
    chart = lines(LOOKS, [series])
    assert svg_of(chart).count("M") - svg_of(chart).count("Mark") == 2
    assert "At the end: a 4.0" in svg_of(chart)
    assert chart.table is not None
    assert chart.table.rows == [["0", "1.0 (0.5 to 1.5)"], ["1", "2.0 (1.0 to 3.0)"], ["3", "4.0"]]


def test_the_axis_reaches_to_all_marks_and_close_ones_share_a_label() -> None:
    marks = [Mark(at=at, label=f"v{at}") for at in (-50, 10, 11, 120)]
    looks = Looks(title="L", across=str, up=str, marks=marks)
    svg = svg_of(lines(looks, [Series(name="a", points=[(0, 1.0), (100, 2.0)])]))
    assert svg.count('class="mark"') == 4
    assert [f">v{at}</text>" in svg for at in (-50, 10, 11, 120)] == [True, True, False, True]
    assert [f">{at}</text>" in svg for at in (-50, 35.0, 120)] == [True, True, True]


def test_the_axis_holds_what_it_is_to_hold_and_says_no_place_twice() -> None:
    looks = Looks(title="L", across=lambda at: f"day {at // 24:.0f}", up=str, span=(0, 47))
    svg = svg_of(lines(looks, [Series(name="a", points=[(12, 1.0), (36, 2.0)])]))
    assert [svg.count(f">day {n}</text>") for n in (0, 1)] == [1, 1]
    assert f'cx="{Frame(across=(0, 47), up=(0, 1)).x(36):g}"' in svg


@pytest.mark.parametrize("points", [[], [(0.0, None)]])
def test_a_chart_of_nothing_says_so(points: list[tuple[float, float | None]]) -> None:
    chart = lines(LOOKS, [Series(name="a", points=points)])
    assert chart.svg is None
    page = Parsed(html(document(sections=[Section(title="S", parts=[chart])])))
    assert "Nothing is known yet." in page.text


def test_one_point_is_drawn_without_dividing_by_nothing() -> None:
    assert "nan" not in svg_of(lines(LOOKS, [Series(name="a", points=[(5, 0.0)])]))


def test_lengths_are_counted_in_words_and_long_ones_together() -> None:
    chart = lengths("W", ["", "one", "two words", "x " * 40])
    assert chart.table is not None
    counted = {row[0]: row[1] for row in chart.table.rows}
    assert {name: n for name, n in counted.items() if n != "0"} == {"0": "1", "1": "1", "2": "1", "12+": "1"}


def test_an_interval_is_marked_where_it_does_not_hold_nothing() -> None:
    assert "whisker better" in interval_cell(0.2, 0.1, 0.3, reach=0.3)
    assert "whisker worse" in interval_cell(-0.2, -0.3, -0.1, reach=0.3)
    assert "whisker same" in interval_cell(0.0, -0.1, 0.1, reach=0.3)


def test_the_biggest_changes_come_first_and_twenty_of_each_are_listed() -> None:
    some = [Compared(query=f"q{i:02d}", raw=0.5, rewritten=0.5 + i / 100, text="w") for i in range(-30, 31)]
    wins, losses = (one for one in wins_and_losses(some, after="served") if isinstance(one, Table))
    assert (len(wins.rows), len(losses.rows)) == (20, 20)
    assert (wins.rows[0][0], wins.rows[0][-1]) == (Markup("<bdi>q30</bdi>"), "+0.300")
    assert losses.rows[0][0] == Markup("<bdi>q-30</bdi>")
    assert "20 of 30" in wins.note


def test_ablations_are_told_where_the_figures_hold_them() -> None:
    assert ablations({}) == []
    held = {
        "ablations": {
            "no neighbours": 0.5,
            "no model": {"ndcg10": 0.4, "mean": -0.1, "low": -0.2, "high": -0.05},
        }
    }
    (section,) = ablations(held)
    (table,) = section.parts
    assert isinstance(table, Table)
    assert [row[:2] for row in table.rows] == [["no neighbours", "0.5000"], ["no model", "0.4000"]]
    assert table.rows[1][3] == "\u22120.1000"


@pytest.mark.parametrize("kind", MADE)
def test_no_text_becomes_markup_and_nothing_is_fetched_or_run(kind: str) -> None:
    page = page_of(kind)
    assert page.faults() == []
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    if kind != "demo":  # which has no queries but the shop's
        assert SCRIPT in page.text
        assert "{{ 7 * 7 }}" in page.text
    assert LONG not in page.text


@pytest.mark.parametrize("kind", MADE)
def test_a_report_tells_wins_losses_lengths_and_how_it_was_judged(kind: str) -> None:
    text = page_of(kind).text
    for part in (
        "Biggest wins",
        "Biggest losses",
        "Words of a rewrite",
        "raw against",
        "How it was judged",
        "Command: unseen",
    ):
        assert part in text


def test_a_query_of_few_clients_is_not_named_in_a_backtest() -> None:
    figures = backtest()
    few = [one for one in figures["by_query"] if one["query"] is None]
    assert {one["rung"] for one in few} > {"raw"}  # some were rewritten
    assert {one["text"] for one in few} == {""}
    text = page_of("backtest").text
    assert f"{len(few):,} queries that fewer than 3 clients asked" in text
    assert "oak oak 0 " not in text


def test_an_evaluation_of_raw_alone_says_what_to_name() -> None:
    page = page_of("labels", policies=("raw",))
    assert page.faults() == []
    assert "name more with --policies" in page.text
    assert "Only the raw query was judged" in page.text


def test_a_backtest_without_a_judged_query_is_told_as_that() -> None:
    page = page_of("backtest", n=0)
    assert page.faults() == []
    for said in ("no query", "No query was judged.", "No query became better.", "as --learn-s was 0"):
        assert said in page.text


def test_a_demo_that_saw_nothing_says_so() -> None:
    figures = demo(points=0) | {"events": [], "versions": 0, "failed": 3}
    page = Parsed(html(of_demo.document(figures, "")))
    assert page.faults() == []
    for said in (
        "none was made in that time",
        "Nothing is known yet.",
        "No version was judged",
        "got no answer",
    ):
        assert said in page.text


def test_the_demo_marks_its_versions_on_the_axis() -> None:
    svg = html(of_demo.document(demo(), ""))
    assert all(f">{mark}</text>" in svg for mark in ("v2?", "v2", "\u2212v2"))


def test_json_and_page_lie_beside_each_other_whichever_is_named() -> None:
    for named in ("r/a.json", "r/a.html"):
        assert Places.of(Path(named)) == Places(figures=Path("r/a.json"), page=Path("r/a.html"))
    assert Places.of(Path("r/a")) == Places(figures=Path("r/a"), page=Path("r/a.html"))
    assert Places.of(Path("r/A.JSON")) == Places(figures=Path("r/A.JSON"), page=Path("r/A.html"))


@pytest.mark.parametrize("name", ["backtest-0.5", "backtest-0.25", "2026.11.28", ".hidden"])
def test_a_name_with_a_dot_keeps_all_of_it(name: str) -> None:
    assert Places.of(Path(name)) == Places(figures=Path(name), page=Path(f"{name}.html"))
    for suffix in (".json", ".html"):
        places = Places.of(Path(f"{name}{suffix}"))
        assert places == Places(figures=Path(f"{name}.json"), page=Path(f"{name}.html"))


@pytest.mark.parametrize("named", ["report.json", "report.html"])
def test_what_is_no_report_of_ours_is_not_written_over_unless_it_is_named(tmp_path: Path, named: str) -> None:
    save(tmp_path / named, labels(5), of_labels.document)
    may_write(tmp_path / named)  # its own pair
    (beside,) = (path for path in tmp_path.iterdir() if path.name != named)
    for other in ('{"name": "shop"}', "[1]", "<title>Shop</title>", "", "\x00\udcff"):
        beside.write_bytes(other.encode(errors="surrogateescape"))
        with pytest.raises(Permanent, match=rf"{beside.name} lies beside it and is no report"):
            may_write(tmp_path / named)
        may_write(beside)  # it was asked for by its name


def test_a_report_is_written_with_all_its_figures(tmp_path: Path) -> None:
    figures = labels(20)
    places = save(tmp_path / "new" / "report.json", figures, of_labels.document)
    assert json.loads(places.figures.read_text()) == json.loads(json.dumps(figures))
    page = Parsed(places.page.read_text())
    assert {"href": "report.json"} in page.all("a")
    assert {path.name for path in places.page.parent.iterdir()} == {"report.json", "report.html"}


def test_what_is_no_number_is_null_in_the_json(tmp_path: Path) -> None:
    figures = demo() | {"rollouts_per_s": float("nan")}
    places = save(tmp_path / "report.json", figures, of_demo.document)
    assert json.loads(places.figures.read_text())["rollouts_per_s"] is None


def test_figures_are_kept_where_the_page_cannot_be_made_and_no_page_of_others_beside_them(
    tmp_path: Path,
) -> None:
    save(tmp_path / "report.json", labels(5), of_labels.document)

    def broken(figures: Mapping[str, Any], name: str) -> Document:
        raise KeyError(name)

    with pytest.raises(KeyError):
        save(tmp_path / "report.json", {"a": 1}, broken)
    assert json.loads((tmp_path / "report.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_write_that_fails_leaves_the_old_report_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "report.json"
    save(place, labels(5), of_labels.document)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    for room in (0, 1):  # for neither, and for the figures alone
        left = [None] * room

        def full(_: int, left: list[None] = left) -> None:
            if not left:
                raise OSError(28, "No space left on device")
            left.pop()

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(Permanent, match="cannot be written: No space left"):
            save(place, labels(9), of_labels.document)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.html").mkdir()
    for named in ("file/report.json", "folder.json"):
        with pytest.raises(Permanent, match=r"cannot be written: .*; give another place"):
            may_write(tmp_path / named)
    may_write(tmp_path / "new" / "report.json")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("redis://:p@ss@host:6379/0", "redis://...@host:6379/0"),
        ("redis+sentinel://u:p@h1,u:p@h2/svc", "redis+sentinel://...@h2/svc"),
        ("redis://u:a/b@h/0", "redis://...@h/0"),
        ("--opensearch=https://e:x@h:9200/?q=a@b", "--opensearch=https://...@h:9200/?q=a@b"),
        ("see redis://u:p@h and a@b", "see redis://...@h and a@b"),
        ("redis://h:6379/0", "redis://h:6379/0"),
    ],
)
def test_no_part_of_a_url_s_password_is_told(typed: str, told: str) -> None:
    assert without_secrets(typed) == told


def test_the_command_is_told_without_what_is_secret() -> None:
    typed = ["evaluate", "--opensearch", "https://anna:pa55@search:9200/?api_key=k3y&x=1", "--split", "a b"]
    said = command_line(typed)
    assert said == "unseen evaluate --opensearch 'https://...@search:9200/?api_key=...&x=1' --split 'a b'"


def test_a_table_without_rows_says_what_it_has_none_of() -> None:
    table = Table(caption="Losses", columns=("query",), rows=[], empty="No query became worse.")
    page = Parsed(html(document(sections=[Section(title="S", parts=[table, Text(text=SCRIPT)])])))
    assert page.all("table") == []
    assert "Losses: No query became worse." in page.text
    assert page.faults() == []


def test_the_colours_are_the_console_s() -> None:
    """What one knows from the console means the same here; its test looks at contrast."""
    colour = re.compile(r"(--[\w-]+): (light-dark\([^;]+\));")
    console = dict(colour.findall((ROOT / "agent/console/assets/console.css").read_text()))
    own = dict(colour.findall((ROOT / "agent/reporting/assets/report.css").read_text()))
    assert own
    assert {name: value for name, value in own.items() if console.get(name) != value} == {}


def test_every_hostile_query_is_in_the_figures() -> None:
    asked = {one["query"] for one in labels(20)["by_query"]}
    assert set(HOSTILE) <= asked
