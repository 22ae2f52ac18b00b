"""The JSON of OpenSearch's requests and answers against the client's own serializer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opensearchpy.exceptions import SerializationError
from opensearchpy.serializer import JSONSerializer

from agent.retrieval.connection import client_of
from agent.retrieval.serializing import FastJson
from agent.sections import OpenSearchSettings

FAST, OWN = FastJson(), JSONSerializer()
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(JSON)
def test_what_is_written_and_read_is_what_the_client_s_own_makes_of_it(value: object) -> None:
    if not isinstance(value, str):  # text is a body already
        assert OWN.loads(FAST.dumps(value)) == value
    assert FAST.loads(json.dumps(value)) == value
    assert repr(FAST.loads(json.dumps(value))) == repr(json.loads(json.dumps(value)))


@pytest.mark.parametrize("text", ['{"title": "\\ud800"}', '{"n": NaN}', '{"n": 1e400}', '{"a": 1, "a": 2}'])
def test_answers_that_only_the_client_s_own_reads_are_read(text: str) -> None:
    assert repr(FAST.loads(text)) == repr(OWN.loads(text))


@pytest.mark.parametrize("value", [{"title": "\ud800"}, '{"as": "it is"}', b"{}"])
def test_bodies_that_only_the_client_s_own_writes_are_written(value: object) -> None:
    written = FAST.dumps(value)
    assert written == value if isinstance(value, str | bytes) else json.loads(written) == value


@pytest.mark.parametrize("text", ["", "{", "<html>", "nothing"])
def test_an_answer_that_is_no_json_is_the_client_s_own_error(text: str) -> None:
    with pytest.raises(SerializationError):
        FAST.loads(text)


def test_a_body_that_is_no_json_is_the_client_s_own_error() -> None:
    with pytest.raises(SerializationError):
        FAST.dumps({"made": object()})


async def test_every_client_has_it() -> None:
    client = client_of("http://localhost:9", OpenSearchSettings())
    try:
        assert isinstance(client.transport.serializer, FastJson)
        assert isinstance(client.transport.deserializer.default, FastJson)
    finally:
        await client.close()
