"""Fixtures of delivery: benches that are closed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery.bench import Bench
from scorespan.testing import ScriptedMart


@pytest.fixture
def make_bench(tmp_path: Path, scripted_mart: ScriptedMart) -> Iterator[Callable[..., Bench]]:
    """Makes a bench; closes it afterwards."""
    made: list[Bench] = []

    def make(**changed: Any) -> Bench:
        made.append(Bench(tmp_path / "root", scripted_mart, **changed))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """A bench in front of our own kind of mart."""
    return make_bench()
