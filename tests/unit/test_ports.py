import socket
from pathlib import Path

import pytest

from agent import ports
from agent.ports import LAST, free_port, free_ports


def test_free_ports_differ_and_can_be_bound() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    for port in found:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_no_port_is_one_that_the_kernel_gives_to_whoever_names_none() -> None:
    assert max(free_ports(50)) <= LAST


def test_a_port_that_somebody_holds_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", first))
        monkeypatch.setattr(ports, "FIRST", first)
        monkeypatch.setattr(ports, "LAST", first + 5)
        assert {free_port() for _ in range(10)} <= set(range(first + 1, first + 6))


def test_where_the_kernel_gives_them_all_one_of_its_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (given := tmp_path / "range").write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "KERNELS", given)
    assert free_port() > 0


def test_an_address_of_another_machine_has_no_port_for_us() -> None:
    with pytest.raises(OSError, match="assign"):
        free_port("192.0.2.1")
