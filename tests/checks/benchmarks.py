"""The benchmarks that `make bench` runs, by the Makefile's own rule."""

import re
import subprocess

from documents import ROOT


def names() -> list[str]:
    """Return what follows ``tests.bench.`` of each."""
    rule = re.search(r"^\t@for name in \$\$\((.+)\); do", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rule, "the Makefile lists its benchmarks in another way"
    command = ["bash", "-euc", rule[1].replace("$$", "$")]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
