import os
from pathlib import Path

import httpx
import psutil
import pytest

from agent.demo.stack import (
    NotReadyError,
    Stack,
    StackError,
    UnavailableError,
    start_opensearch,
)
from agent.demo.stack.java import Java, find_java


def no_java(cache_dir: Path) -> Java:
    raise UnavailableError("no JDK 21 or newer: /usr/lib/jvm/java-17 is Java 17")


def test_a_started_opensearch_stems_english_and_finds_by_the_stem(opensearch_url: str, tenant: str) -> None:
    with httpx.Client(base_url=opensearch_url, timeout=30.0) as client:
        mapping = {"properties": {"title": {"type": "text", "analyzer": "english"}}}
        client.put(f"/{tenant}", json={"mappings": mapping}).raise_for_status()
        client.put(f"/{tenant}/_doc/1?refresh=true", json={"title": "hooks"}).raise_for_status()
        query = {"query": {"match": {"title": "hook"}}}
        hits = client.post(f"/{tenant}/_search", json=query).json()["hits"]["hits"]
        version = client.get("/").json()["version"]["number"]
    assert [hit["_id"] for hit in hits] == ["1"]
    assert version == "3.4.0"


def test_a_started_opensearch_is_not_run_as_root(opensearch_url: str, stack: Stack) -> None:
    servers = [process for process in psutil.Process().children(recursive=True) if process.name() == "java"]
    assert len(servers) == 1
    assert servers[0].uids().real != 0


def test_without_a_usable_java_the_stand_in_is_taken_and_says_why(stack: Stack, tmp_path: Path) -> None:
    service = start_opensearch(stack.folder, spawn=stack.spawn, cache_dir=tmp_path, java=no_java)
    assert service.kind == "stand-in"
    assert "/usr/lib/jvm/java-17 is Java 17" in service.note
    assert "\n" not in service.note
    assert httpx.get(f"{service.url}/_cluster/health").status_code == 200


def test_a_given_opensearch_is_used_and_not_started(stack: Stack, fake_opensearch_url: str) -> None:
    service = start_opensearch(stack.folder, fake_opensearch_url, spawn=stack.spawn)
    assert (service.kind, service.url, service.process) == ("given", fake_opensearch_url, None)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "no-url"])
def test_a_given_opensearch_that_does_not_answer_is_an_error(stack: Stack, url: str) -> None:
    with pytest.raises(StackError, match="no OpenSearch answers at the given URL"):
        start_opensearch(stack.folder, url, spawn=stack.spawn)


@pytest.mark.timeout(90)
def test_a_start_that_fails_shows_the_end_of_the_servers_log(opensearch_url: str, tmp_path: Path) -> None:
    java = find_java(os.environ)  # the shared server has shown that there is one
    with Stack() as own:
        broken = own.folder / "opensearch" / "data" / "nodes"
        broken.parent.mkdir(parents=True)
        broken.write_text("a file where the server wants a folder")
        with pytest.raises(NotReadyError, match=r"ended with status 1 at its start:\n(.|\n)*nodes"):
            start_opensearch(own.folder, spawn=own.spawn, java=lambda _: java)


@pytest.mark.timeout(60)
def test_a_server_that_is_too_slow_is_ended(opensearch_url: str) -> None:
    with Stack() as own:
        with pytest.raises(NotReadyError, match=r"did not answer within 0\.1 s"):
            start_opensearch(own.folder, spawn=own.spawn, ready_s=0.1)
        assert own._children[0].running is False
