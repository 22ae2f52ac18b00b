"""No word of a shopper's comes to stand in a log, whatever fails with it in hand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORD = "zyxcanary"
pytestmark = pytest.mark.timeout(120)


def log_of(**variables: str) -> str:
    """Return all that a gateway wrote whose every dependency failed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UNSEEN_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.service.canary_gateway", WORD],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **variables},  # lines in order
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1, done.stdout[-4000:]
    assert "LookupError" in done.stdout.splitlines()[-1]  # its last words
    return done.stdout


def test_what_fails_is_logged_and_never_the_words_that_it_failed_on() -> None:
    log = log_of()
    for event in ("rewrite.failed", "verifier.pass_failed", "verdicts.not_followed"):
        assert event in log
    assert "Exception in ASGI application" in log  # an error that nobody foresaw
    assert "RuntimeError" in log
    assert re.search(r"^bug 500$", log, re.MULTILINE)
    assert WORD not in log.lower()


def test_they_are_logged_where_a_setting_asks_for_it() -> None:
    assert WORD in log_of(UNSEEN_LOG__QUERY_TEXT="true")
