"""What was accepted survives SIGKILL: the demo's account; the fault table has the many kills."""

from __future__ import annotations

import json
import sys

from running import clean_environment, run


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
