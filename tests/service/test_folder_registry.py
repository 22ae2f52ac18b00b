"""Two processes on one folder: no number is given twice."""

import subprocess
import sys
from pathlib import Path

import pytest

TAKE = """
import sys
from agent.weights.files import Files
from agent.weights.folder import FolderRegistry
registry = FolderRegistry(Files(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(*(registry.next_version() for _ in range(50)))
"""


@pytest.mark.timeout(120)
def test_two_processes_get_a_number_each(tmp_path: Path) -> None:
    command = (sys.executable, "-c", TAKE, str(tmp_path))
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for one in both:
        assert one.stdout
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    numbers = [[int(n) for n in one.communicate()[0].split()] for one in both]
    assert sorted(numbers[0] + numbers[1]) == list(range(1, 101))
