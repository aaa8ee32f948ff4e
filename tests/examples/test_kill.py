"""What was accepted survives SIGKILL."""

from __future__ import annotations

import json
import random
import sys

import pytest

from examples.live import PROGRAMS, clean_environment, run, started, wait_until
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


@pytest.mark.timeout(300)
def test_nothing_accepted_is_lost_in_twenty_kills(live, tmp_path):
    """What eight threads had accepted before each of twenty kills must be in the mart, once."""
    chance = random.Random(20260131)
    log = tmp_path / "accepted"
    log.touch()
    command = [sys.executable, PROGRAMS / "hammer.py", log]
    for number in range(ROUNDS):
        # A few: the process is adopting what the dead have left. Many: it delivers its own, too.
        lines = chance.choice([chance.randint(1, 500), chance.randint(2_000, 12_000)])
        wanted = log.stat().st_size + lines * (ID_LENGTH + 1)
        with started(command, live.environment()) as process:
            wait_until(
                lambda process=process, wanted=wanted: (
                    log.stat().st_size >= wanted or process.poll() is not None
                ),
                f"{lines} scorings accepted in round {number}",
            )
            assert process.poll() is None, "the process ended by itself"
            process.kill()
    run([*command, "drain"], live.environment())

    accepted = log.read_text().splitlines()
    assert len(accepted) == len(set(accepted))
    assert {len(scoring_id) for scoring_id in accepted} == {ID_LENGTH}
    ids = live.ids()
    assert set(accepted) - set(ids) == set(), "accepted, and not in the mart"
    assert len(ids) == len(set(ids))
    assert live.conflicts() == []
    # A scoring whose thread was killed between the put and the line in the log is in the mart, too.
    assert len(set(ids) - set(accepted)) <= ROUNDS * THREADS

    account = read_account(live.spool)
    assert account.ids("stored") == set(ids)
    assert account.totals == {**dict.fromkeys(account.totals, 0), "stored": len(ids)}
    assert read_directories(live.spool) == []
