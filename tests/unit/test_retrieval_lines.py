import pytest

from agent.retrieval.lines import Document, documents
from agent.retrieval.results import Rejected


def test_the_id_is_found_under_each_of_its_names_and_becomes_text() -> None:
    read = list(documents(['{"product_id": 7}', {"object_id": "a"}, b'{"id": "b", "object_id": ""}']))
    assert [d.object_id for d in read] == ["7", "a", "b"]
    assert isinstance(read[2], Document)
    assert read[2].fields == {"id": "b", "object_id": "b"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        ("[]", "no JSON object"),
        ('{"id": NaN}', "no JSON"),
        ("[" * 100_000, ""),
        ('{"id": null, "title": "x"}', "no id under"),
        ('{"id": true}', "no id under"),
        ('{"id": "  "}', "no id under"),
        ('{"id": "' + "x" * 513 + '"}', "longer than 512 bytes"),
        ({"id": "a", "price": float("nan")}, "cannot be written"),
        ({"id": "a", "title": "\ud800"}, "cannot be written"),
        ({"id": "a", "title": {1, 2}}, "cannot be written"),
    ],
)
def test_a_line_that_is_no_document_says_why(line: str | bytes | dict[str, object], reason: str) -> None:
    (read,) = documents([line])
    assert isinstance(read, Rejected)
    assert read.line_no == 1
    assert reason in read.reason


def test_blank_lines_are_passed_over_and_counted_in_line_numbers() -> None:
    (read,) = documents(["", " \n", '{"id": 1}'])
    assert read.line_no == 3


def test_the_first_of_two_lines_with_one_id_stays() -> None:
    first, second = documents(['{"id": 1, "title": "first"}', '{"id": "1", "title": "second"}'])
    assert isinstance(first, Document)
    assert str(second) == "line 2 (1): repeats the id of line 1"
