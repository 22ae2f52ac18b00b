"""An alert on its way: Prometheus' rules, Alertmanager's example, a pager. Real programs but for the last."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_server import Server, program
from scaled_rules import scale
from typing_extensions import override
from watched import PROMETHEUS

from agent.demo.stack import Stack
from agent.ports import free_port
from tests.conftest import WaitUntil

pytestmark = pytest.mark.timeout(120)
READ_AT = "https://git.example.com/unseen/blob/main/"


@contextmanager
def pager() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield where a pager listens, and the alerts that it gets."""
    got: list[dict[str, Any]] = []

    class Pager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.extend(json.loads(self.rfile.read(int(self.headers["content-length"])))["alerts"])
            self.send_response(200)
            self.end_headers()

        @override
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Pager) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/page", got
        finally:
            server.shutdown()
            thread.join()


def test_a_page_reaches_the_pager_with_a_link_that_can_be_followed(
    stack: Stack, tmp_path: Path, wait_until: WaitUntil
) -> None:
    port = free_port()
    with pager() as (url, got):
        example = (PROMETHEUS / "alertmanager.yml").read_text()
        config = tmp_path / "alertmanager.yml"
        config.write_text(example.replace("http://127.0.0.1:9099/page", url).replace("10s", "1s"))
        flags = {
            "config.file": config,
            "storage.path": tmp_path / "alertmanager",
            "web.listen-address": f"127.0.0.1:{port}",
            "cluster.listen-address": "",
        }
        told = [program("prometheus-alertmanager"), *(f"--{name}={value}" for name, value in flags.items())]
        alertmanager = stack.spawn(told, name="alertmanager")

        def filled_in(rules: Path) -> None:
            scale(rules)
            path = rules.parent / "prometheus.yml"
            path.write_text(path.read_text().replace("# external_labels", "external_labels"))
            (rules.parent / "alertmanagers.yml").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))

        try:
            Server(stack, tmp_path, filled_in)  # without targets: every process is missing
            wait_until(lambda: len(got), 60)
        finally:
            alertmanager.stop()
    assert {one["labels"]["alertname"] for one in got} == {"UnseenProcessMissing"}
    for one in got:
        assert one["annotations"]["runbook_url"] == f"{READ_AT}deploy/runbook.md#unseenprocessmissing"
        assert set(one["labels"]) == {"alertname", "job", "severity"}
