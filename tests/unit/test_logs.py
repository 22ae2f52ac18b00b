"""What logs say of errors and of shoppers' words: nothing that the shoppers wrote, unless asked for."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from agent.errors import Refused, SearchFailed, SearchRefused
from agent.logs import processors, quieten, told, traced
from agent.sections import LogSettings

WORD = "canaryword"


@pytest.fixture
def quiet() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    quieten()
    yield
    logging.setLogRecordFactory(before)


def rendered(event: dict[str, Any], **settings: Any) -> str:  # noqa: ANN401
    for step in processors(LogSettings(**settings)):
        event = step(None, "warning", event)  # type: ignore[assignment]
    return structlog.processors.JSONRenderer()(None, "warning", event)  # type: ignore[return-value]


def refused() -> NoReturn:
    raise SearchRefused(f"cannot parse {WORD}")


def failed() -> ValueError:
    try:
        try:
            refused()
        except SearchRefused as error:
            raise ValueError(f"no plan for {WORD}") from error
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SearchFailed("OpenSearch gave no answer"), "SearchFailed: OpenSearch gave no answer"),
        (RedisConnectionError("Error 111 connecting"), "ConnectionError: Error 111 connecting"),
        (OSError("no route to host"), "OSError: no route to host"),
        (SearchRefused(f"cannot parse {WORD}"), "SearchRefused"),
        (Refused(f"{WORD}: is wrong"), "Refused"),
        (ResponseError(f"unknown command {WORD}"), "ResponseError"),
        (ValueError(WORD), "ValueError"),
        (type("RayTaskError", (OSError,), {"__module__": "ray.exceptions"})(WORD), "RayTaskError"),
    ],
)
def test_an_error_is_told_by_its_kind_and_by_words_of_ours(error: Exception, says: str) -> None:
    assert told(error) == says


def test_a_line_holds_neither_a_query_nor_an_error_s_own_words() -> None:
    error = failed()
    event = {"event": "loans.untried", "query": WORD, "error": error, "n": 3, "exc_info": error}
    line = rendered(dict(event))
    assert WORD not in line
    assert '"n": 3' in line
    assert '"error": "ValueError"' in line
    assert "in failed" in line  # the traceback, by file, line and function
    assert "SearchRefused\\nwhich led to:" in line
    asked_for = rendered(dict(event), query_text=True)
    assert asked_for.count(WORD) > 2


def test_a_traceback_of_a_group_holds_each_of_its_errors() -> None:
    group = ExceptionGroup(WORD, [failed(), SearchFailed("away")])
    lines = traced((ExceptionGroup, group, None)).splitlines()
    assert [line for line in lines if not line.startswith("  |  ")] == [
        "ExceptionGroup",
        "  | SearchRefused",
        "  | which led to:",
        "  | ValueError",
        "  | SearchFailed: away",
    ]


@pytest.mark.usefixtures("quiet")
def test_libraries_that_log_an_error_repeat_none_of_its_words(caplog: pytest.LogCaptureFixture) -> None:
    server = logging.getLogger("uvicorn.error")
    for error in (failed(), SearchFailed("away")):
        try:
            raise error
        except (ValueError, SearchFailed) as caught:
            server.exception("Exception in ASGI application: %s", caught)
    assert WORD not in caplog.text
    assert "Exception in ASGI application: ValueError" in caplog.text
    assert "which led to:" in caplog.text
    assert caplog.text.count("SearchFailed: away") == 2
    assert [record.exc_info for record in caplog.records] == [None, None]


@pytest.mark.usefixtures("quiet")
async def test_a_task_whose_error_nobody_took_is_told_without_it(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    loop.call_exception_handler(
        {"message": "Task exception was never retrieved", "exception": failed(), "future": failed()}
    )
    assert "Task exception was never retrieved" in caplog.text
    assert WORD not in caplog.text


@pytest.mark.usefixtures("quiet")
def test_no_library_logs_the_address_or_body_of_a_request() -> None:
    quieten()  # twice is once
    assert getattr(logging.getLogRecordFactory(), "is_quiet", False)
    for name in ("httpx", "opensearch"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
