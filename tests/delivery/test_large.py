"""Large bodies: neither memory nor the other threads of the process pay for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from benchmarks.null_server import null_server
from delivery.bench import Bench, span
from examples.live import DATA_MART_ID, SUBSCRIPTION_ID, live_mart

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


class Target:
    """A real mart as a bench needs it."""

    DATA_MART_ID = DATA_MART_ID

    def __init__(self, settings: dict[str, object]) -> None:
        self.settings = {**settings, "data_mart_kind": "scorespan"}
        self.url = str(settings["data_mart_url"])


def test_large_bodies_are_stored_to_the_byte_up_to_what_the_mart_takes(tmp_path: Path):
    """1 and 20 MiB arrive; 65 MiB is a dead letter, whole, with its size."""
    bodies = {
        f"s{size}": b'{ "fields": ["a"], "values": [["' + b"xy" * (size << 19) + b'"]]}'
        for size in (1, 20, 65)
    }
    with live_mart(tmp_path) as mart:
        names = ("data_mart_url", "data_mart_id", "api_key", "subscription_id")
        bench = Bench(tmp_path / "root", Target({name: mart.settings[name] for name in names}))
        for number, (name, body) in enumerate(bodies.items(), 1):
            one = span(number, scoring_id=name, request=body, subscription_id=SUBSCRIPTION_ID)
            bench.put(one)
        bench.worker.start()
        assert bench.worker.flush(100)
        stored = {record.scoring_id: record for record in mart.records()}
        bench.close()
    assert {name: len(record.request_text) for name, record in stored.items()} == {
        name: len(bodies[name]) for name in ("s1", "s20")
    }
    assert all(record.request_text == bodies[name] for name, record in stored.items())
    ((name, (code, reason, status)),) = bench.letters().items()
    assert (name, code, status) == ("s65", "refused", 413)
    assert "the record has 681" in reason
