"""The end of a process: within its time, whatever the mart does, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from delivery import network
from delivery.bench import Bench, span
from scorespan.conversion.span import ScoringSpan
from scorespan.intake import Intake
from scorespan.reconcile import read_account
from scorespan.settings import Settings
from scorespan.testing import Answer, ScriptedMart

PROGRAM = Path(__file__).parent / "programs" / "exits.py"
DRAIN = 1
MARGIN = 20
"""For a busy machine. What the process must not wait for takes minutes."""


def hangs(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """The mart takes the records and never answers."""
    return {**network.half_open(stack, folder), "timeout_seconds": 300}


def black(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """No connection comes about, and none is refused."""
    return {**network.blackhole(stack, folder), "timeout_seconds": 300}


def down(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """The mart says 503, and to come again in an hour."""
    mart = stack.enter_context(ScriptedMart())
    mart.always = Answer(503, b"", (("Retry-After", "3600"),))
    return {"data_mart_url": mart.url}


def slow(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """Each answer takes minutes."""
    mart = stack.enter_context(ScriptedMart())
    mart.judge = lambda _: Answer(delay=200)
    return {"data_mart_url": mart.url, "timeout_seconds": 300}


@pytest.mark.parametrize("fault", [network.refused, down, hangs, black, slow])
def test_a_process_ends_in_time_and_loses_nothing(
    tmp_path: Path,
    scripted_mart: ScriptedMart,
    fault: Callable[[ExitStack, Path], dict[str, Any]],
):
    """It drains for as long as it was told to; all that it scored is on the disk."""
    spool = tmp_path / "spool"
    with ExitStack() as stack:
        settings = {
            "data_mart_id": ScriptedMart.DATA_MART_ID,
            "data_mart_kind": "scorespan",
            "token": "t",
            "subscription_id": "subscription",
            "spool_dir": spool,
            "shutdown_seconds": DRAIN,
            **fault(stack, tmp_path),
        }
        environment = {f"SCORESPAN_{name.upper()}": str(it) for name, it in settings.items()}
        environment["PATH"] = os.environ["PATH"]
        command = [sys.executable, PROGRAM]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            lines = iter(process.stdout.readline, "scored\n")
            scored = {line.strip() for line in lines}
            started = time.monotonic()
            assert process.wait(100) == 0
            took = time.monotonic() - started
    assert took < DRAIN + MARGIN
    assert len(scored) == 50
    account = read_account(spool)
    assert account.totals["waiting"] + account.totals["stored"] == 50
    assert account.missing == []


def test_what_was_left_is_delivered_by_the_next_start(tmp_path: Path, scripted_mart: ScriptedMart):
    """The same route, a new process: nothing is sent under another name."""
    scripted_mart.always = Answer(503)
    settings = {**scripted_mart.settings, "spool_dir": tmp_path, "shutdown_seconds": 0}
    for number in (1, 2):
        intake = Intake(Settings.load(settings, {}))
        one: ScoringSpan = span(number)
        assert intake.accept(one)
        intake.close()
        scripted_mart.always = None
        settings["shutdown_seconds"] = 60
    assert set(scripted_mart.stored) == {"s1", "s2"}


@pytest.mark.parametrize("drain", [0, 0.5])
def test_stopping_keeps_to_its_time_while_records_are_set_aside(bench: Bench, drain: float):
    """What the mart cannot take does not keep a process alive; it waits on the disk."""
    bench.mart.judge = lambda records: Answer(500) if "s1" in str(records) else None
    bench.put(span(1), span(2))
    bench.worker.start()
    assert bench.mart.wait_for_posts(2)
    started = time.monotonic()
    assert bench.worker.stop(drain)
    assert time.monotonic() - started < drain + MARGIN
    assert bench.outcomes()["s1"] == "waiting"
