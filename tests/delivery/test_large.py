"""Large bodies: neither memory nor the other threads of the process pay for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from benchmarks.null_server import null_server

PROGRAM = Path(__file__).parent / "programs" / "large.py"
SIZE = 100_000_000


@pytest.mark.parametrize("word", ["none", "keine Bürgschaft"])
def test_a_body_of_100_mb_costs_its_own_size_and_stalls_nobody(tmp_path: Path, word: str):
    """Three times the body at most, the application's own text included; no long hold of the GIL.

    Python's own copy of a text is what remains: it lets no other thread run for tens of ms.
    """
    with null_server() as url:
        command = [sys.executable, PROGRAM, url, tmp_path, str(SIZE), word]
        cost = orjson.loads(subprocess.check_output(command, timeout=110))
    assert cost["flushed"]
    assert cost["growth"] <= 2.2 * SIZE, cost
    assert cost["worst_gap"] < 0.25, cost
