"""A host: programs as services run them, what they were told was taken, and where it all went."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from running import clean_environment, run, started, wait_until
from scorespan.conversion.span import ScoringSpan
from scorespan.intake import Intake
from scorespan.reconcile import read_account
from scorespan.settings import Settings
from scorespan.spool.root import directories, is_owned
from scorespan.testing import Answer, ScriptedMart

PROGRAMS = Path(__file__).parent / "programs"
_MART_IS_DOWN = "delivery is waiting, nothing is dropped"
FOUND = {"stored", "waiting", "dead-lettered", "withheld"}


class SteeredMart(ScriptedMart):
    """A data mart that can be down: it answers 503 then.

    Attributes:
        down: whether it is.
        taken: scoring ids as often as they were answered with success.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.taken: Counter[str] = Counter()

    def answer_post(self, body: bytes) -> Answer:
        """Take the records, or say 503."""
        if self.down:
            self.answers.appendleft(Answer(503))
        answer = super().answer_post(body)
        if answer.status == 204:
            self.taken.update(record["scoring_id"] for record in orjson.loads(body))
        return answer


@dataclass(frozen=True)
class Host:
    """A data mart, a spool root, and a log of the scoring ids that were accepted."""

    mart: SteeredMart
    root: Path
    log: Path

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a program that delivers here."""
        # A busy machine may need longer than the two seconds that a service is given.
        settings = {**self.mart.settings, "spool_dir": self.root, "shutdown_seconds": "60"}
        ours = {f"SCORESPAN_{name.upper()}": str(value) for name, value in settings.items()}
        return {**clean_environment(), **ours, "ACCEPTED": str(self.log), **more}

    def run(self, program: str, *arguments: str, **more: str) -> str:
        """What a program prints, which must end well and complain of nothing but the mart."""
        done = run(command(program, *arguments), self.environment(**more))
        said = [line for line in done.stderr.splitlines() if not line.startswith(_MART_IS_DOWN)]
        assert said == []
        return done.stdout

    def start(self, program: str, *arguments: str, **more: str) -> Any:
        """A program while the block runs; its output can be read, line by line."""
        return started(
            command(program, *arguments), self.environment(**more), stdout=subprocess.PIPE
        )

    def accepted(self) -> list[str]:
        """The scoring ids whose scoring has returned."""
        return self.log.read_text().split() if self.log.exists() else []

    def deliver_rest(self) -> None:
        """What the next start does: adopt what is left, and deliver it."""
        heir = Intake(Settings.load({**self.mart.settings, "spool_dir": self.root}, {}))
        heir.accept(ScoringSpan(trace_id="0" * 32, span_id="0" * 16))
        wait_until(lambda: all(map(is_owned, directories(self.root))), "all is adopted")
        assert heir.flush(100)
        heir.close()

    def producers_resent(self) -> set[str]:
        """The producers whose records the mart was given more than once."""
        again = [scoring_id for scoring_id, times in self.mart.taken.items() if times > 1]
        return {self.mart.stored[scoring_id]["scorespan"]["producer"] for scoring_id in again}

    def check(self, count: int, *, more: int = 0, cut_off: bool = False) -> dict[str, int]:
        """Every accepted record must be in exactly one place, and the mart was given each once.

        Args:
            count: how many must have been accepted.
            more: how many at most may be known beside them, cut off between put and log.
            cut_off: whether processes may have ended between a post and its settling.

        Returns:
            Where they are: how many for each term.
        """
        accepted = self.accepted()
        assert len(accepted) == len(set(accepted)) == count
        account = read_account(self.root)
        assert account.missing == []
        outcomes = {item.scoring_id: item.outcome for item in account.items.values()}
        places = Counter(outcomes.get(scoring_id, "nowhere") for scoring_id in accepted)
        assert set(places) <= FOUND, places
        assert account.ids("stored") == set(self.mart.stored)
        assert cut_off or set(self.mart.taken.values()) <= {1}
        # The heir's own span has no bodies: it is a dead letter.
        ours = [item for item in account.items.values() if item.scoring_id != "0" * 48]
        assert count <= len(ours) <= count + more
        return dict(places)


def command(program: str, *arguments: str) -> list[str]:
    """How a program of this folder is started."""
    return [sys.executable, "-W", "ignore", str(PROGRAMS / f"{program}.py"), *arguments]


@contextmanager
def hanging() -> Iterator[str]:
    """The address of a data mart that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
