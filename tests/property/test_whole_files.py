"""A store of files is a dictionary that many share: a reader never meets half a file."""

import threading
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_kinds import KINDS, place

from agent.weights.files import Files

NAMES = st.sampled_from(["a", "b/1", "b/2", "b/c/1", "b-"])
WRITES = st.tuples(st.sampled_from(["put", "create"]), NAMES, st.binary(max_size=4))
STEPS = st.lists(st.one_of(WRITES, st.tuples(st.just("delete"), NAMES, st.just(b""))), max_size=12)


@pytest.mark.parametrize("kind", KINDS)
@given(steps=STEPS, prefix=st.sampled_from(["", "b", "b/", "b/c/", "x/"]))
def test_it_holds_what_a_dictionary_would(
    kind: str, steps: list[tuple[str, str, bytes]], prefix: str
) -> None:
    with TemporaryDirectory() as folder:
        files, expected = Files(place(kind, Path(folder))), dict[str, bytes]()
        for step, name, content in steps:
            if step == "put":
                files.put(name, content)
                expected[name] = content
            elif step == "create":
                assert files.create(name, content) == (name not in expected)
                expected.setdefault(name, content)
            else:
                files.delete([name])
                expected.pop(name, None)
        assert files.names(prefix) == sorted(name for name in expected if name.startswith(prefix))
        assert {name: files.get(name) for name in files.names()} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_beside_a_writer_meets_whole_files_only(kind: str, tmp_path: Path) -> None:
    files, done = Files(place(kind, tmp_path)), threading.Event()
    contents = {bytes([n]) * (1_000_000 * n) for n in (1, 2, 3)}
    met: set[bytes | None] = set()

    def read() -> None:
        mine = Files(files.where)
        while not done.is_set():
            met.update({mine.get("shared")} - met)
            assert set(mine.names()) <= {"shared", *(f"own-{i}" for i in range(20))}

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for i in range(20):
            for content in contents:
                files.put("shared", content)
            files.create(f"own-{i}", uuid.uuid4().bytes)
    finally:
        done.set()
        reader.join()
    assert met <= contents | {None}
