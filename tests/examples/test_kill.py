"""What was accepted survives SIGKILL."""

from __future__ import annotations

import json
import random
import socket
import sys
from contextlib import nullcontext

import pytest

from examples.live import PROGRAMS, clean_environment, live_mart, run, started, wait_until
from scorespan.reconcile import read_account, read_directories

ROUNDS = 20
THREADS = 8
ID_LENGTH = 48


def test_demo_accounts_for_every_record_after_a_kill():
    """`scorespan demo --kill` must find every scoring id that its client saw in the mart."""
    done = run(
        [sys.executable, "-m", "scorespan.cli", "demo", "--kill", "--json"], clean_environment()
    )
    outcome = json.loads(done.stdout)
    assert outcome["agrees"] is True
    assert outcome["lost"] == []
    assert outcome["answered"] == 574
    assert outcome["failed"] == 6
    assert outcome["stored"] == 580 + outcome["unanswered"]


@pytest.fixture
def port():
    """A port that nobody else gets while the mart that uses it is down."""
    with socket.socket() as held:
        # Bound, and never listening: it keeps the port, and lets one listener in beside it.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.timeout(300)
def test_nothing_accepted_is_lost_in_twenty_kills(port, tmp_path):
    """What eight threads had accepted before each of twenty kills must be in the mart, once."""
    chance = random.Random(20260131)
    log = tmp_path / "accepted"
    log.touch()
    command = [sys.executable, PROGRAMS / "hammer.py", log]
    with live_mart(tmp_path, port=port) as live:
        # The kind is told, not asked for: a mart that is down must not keep delivery from trying.
        environment = live.environment(SCORESPAN_DATA_MART_KIND="scorespan")
    for number in range(ROUNDS):
        # A few: the process is adopting what the dead have left. Many: it delivers its own, too.
        lines = chance.choice([chance.randint(1, 500), chance.randint(2_000, 12_000)])
        wanted = log.stat().st_size + lines * (ID_LENGTH + 1)
        # A record on its way to a mart that is up may arrive after its sender is dead. Only one
        # that is down shows whether it was still on disk.
        up = chance.random() < 0.5
        with live_mart(tmp_path, port=port) if up else nullcontext():
            score_until_killed(command, environment, log, wanted, f"round {number}")

    with live_mart(tmp_path, port=port) as live:
        run([*command, "drain"], environment)
        ids = live.ids()
        conflicts = live.conflicts()
    accepted = log.read_text().splitlines()
    assert len(accepted) == len(set(accepted))
    assert {len(scoring_id) for scoring_id in accepted} == {ID_LENGTH}
    assert set(accepted) - set(ids) == set(), "accepted, and not in the mart"
    assert len(ids) == len(set(ids))
    assert conflicts == []
    # A scoring whose thread was killed between the put and the line in the log is in the mart, too.
    assert len(set(ids) - set(accepted)) <= ROUNDS * THREADS

    account = read_account(live.spool)
    assert account.ids("stored") == set(ids)
    assert account.totals == {**dict.fromkeys(account.totals, 0), "stored": len(ids)}
    assert read_directories(live.spool) == []


def score_until_killed(command, environment, log, wanted, name):
    """Let the program score until its log has the wanted size, then SIGKILL."""
    with started(command, environment) as process:
        wait_until(
            lambda: log.stat().st_size >= wanted or process.poll() is not None,
            f"{name}: {wanted} bytes of accepted ids",
        )
        assert process.poll() is None, f"{name}: the process ended by itself"
        process.kill()
