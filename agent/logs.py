"""Logs of every process: dotted past events with values as keys, to standard error.

Guarantees that no text of a shopper's comes to stand in them unless ``log.query_text`` asks for it: an error
is logged by its kind, and by its message where we wrote that ourselves; the value ``query`` is left out. The
same holds for what libraries log with a traceback.
"""

import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from agent.errors import Refused, SearchRefused
from agent.sections import LogSettings

OURS = ("agent", "feedback")
"""Packages whose errors say nothing of a shopper's..."""
REPEATING = (SearchRefused, Refused)
"""... but for these, whose messages are for whoever asked."""
PLAIN = (OSError, TimeoutError, RedisConnectionError, RedisTimeoutError)
"""Others' errors that say where something is away, and nothing else."""
RAY = "ray"
"""Its errors stand for those of other processes, and repeat their tracebacks."""
TEXTS = frozenset({"query", "user_query", "rewrite"})
"""Names of values that are a shopper's text, or a model's of it."""
CHATTY = ("httpx", "httpcore", "opensearch", "opensearchpy")
"""Libraries that log the address or the body of each request, below a warning."""
MOST_CHARS = 300
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure(settings: LogSettings, *, process: str) -> None:
    """Set structlog up for this process; ``format`` is ``console`` or ``json``."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *processors(settings),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    if not settings.query_text:
        quieten()
        sys.excepthook = _last_words


def processors(settings: LogSettings) -> list[structlog.typing.Processor]:
    """Return what makes values of a log line plain text."""
    if settings.query_text:
        return [structlog.processors.format_exc_info, _whole]
    return [structlog.processors.ExceptionRenderer(traced), _without_texts]


def quieten() -> None:
    """Have libraries in this process log no text of a shopper's: neither in tracebacks nor in addresses."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    made = logging.getLogRecordFactory()
    if not getattr(made, "is_quiet", False):
        logging.setLogRecordFactory(_Quiet(made))


def told(error: BaseException) -> str:
    """Return what may be logged of an error: its kind, and its message where that is no text of others."""
    kind, package = type(error).__name__, type(error).__module__.partition(".")[0]
    may_be_said = package in OURS or (isinstance(error, PLAIN) and package != RAY)
    if may_be_said and not isinstance(error, REPEATING):
        return f"{kind}: {str(error)[:MOST_CHARS]}"
    return kind


def traced(exc_info: ExcInfo) -> str:
    """Return a traceback without the messages that `told` leaves out."""
    return "\n".join(_lines(exc_info[1]))


def _last_words(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Tell what ended the process."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, where)
        return
    sys.stderr.write(f"{traced((kind, error, where))}\n")


def _lines(error: BaseException) -> Iterator[str]:
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from _lines(earlier)
        yield "which led to:"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
    yield told(error)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from (f"  | {line}" for line in _lines(each))


def _without_texts(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {
        name: told(value) if isinstance(value, BaseException) else value
        for name, value in event.items()
        if name not in TEXTS
    }


def _whole(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {
        name: repr(value)[:MOST_CHARS] if isinstance(value, BaseException) else value
        for name, value in event.items()
    }


class _Quiet:
    """Makes log records whose errors are told as `told` tells them."""

    is_quiet = True

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **more: Any) -> logging.LogRecord:  # noqa: ANN401 - as logging makes them
        record = self._make(*args, **more)
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = traced(record.exc_info)
            record.exc_info = None
        if record.name == "asyncio":  # below its first line it shows the task, with its error
            record.msg, record.args = record.getMessage().partition("\n")[0], None
        elif isinstance(record.args, tuple):
            record.args = tuple(told(one) if isinstance(one, BaseException) else one for one in record.args)
        return record
