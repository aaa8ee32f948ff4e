"""The oracle of every fault: what was accepted is somewhere, once, and named."""

from __future__ import annotations

import itertools
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from running import wait_until
from scorespan.conversion.span import ScoringSpan
from scorespan.intake import Intake
from scorespan.reconcile import Account, read_account, read_directories
from scorespan.settings import Settings
from scorespan.spool.dead import DeadLetter, read_letters
from scorespan.spool.root import directories, is_owned
from scorespan.testing import ScriptedMart

LIVENESS_SECONDS = 60
"""One backoff cap: within it a new record must arrive once the fault has ended."""
START = 1_767_225_600_000_000_000
"""When the scorings of a test happen, in nanoseconds since the epoch; no clock of the machine."""


class AcceptedLog:
    """The ids that a producer was told yes for, one line each, written after the yes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)

    def add(self, scoring_id: str) -> None:
        """Note one id, in one write."""
        os.write(self._descriptor, scoring_id.encode() + b"\n")

    def ids(self) -> list[str]:
        """Every id so far; the last line may be torn where its writer was killed."""
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")
        return whole.decode().split("\n") if whole else []

    def wait_for_more(self) -> None:
        """Return when an id has come that is not here now."""
        size = self.path.stat().st_size
        wait_until(lambda: self.path.stat().st_size > size, "an accepted id")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Scorer:
    """Scores through an intake of this process, and notes what was accepted.

    It numbers its own scorings: several intakes in one process are several producers.
    """

    def __init__(self, intake: Intake, accepted: AcceptedLog) -> None:
        self.intake = intake
        self._accepted = accepted
        self.producer_id = uuid.uuid4().hex
        self._numbers = itertools.count(1)

    def score(self, request: bytes | None = None, response: bytes = b"[[0]]", **more: Any) -> str:
        """One scoring; returns its id where it was accepted, and "" where it was refused."""
        number = next(self._numbers)
        span = scoring(self.producer_id, number, request, response)._replace(**more)
        if not self.intake.accept(span):
            return ""
        self._accepted.add(span.key)
        return span.key

    def score_many(self, count: int) -> list[str]:
        """So many scorings, all of which must be accepted."""
        ids = [self.score() for _ in range(count)]
        assert all(ids), "a record was refused"
        return ids

    def score_for(self, seconds: float) -> list[float]:
        """Score so long; returns the seconds that each call took."""
        until, times = time.monotonic() + seconds, []
        while time.monotonic() < until:
            before = time.perf_counter()
            self.score()
            times.append(time.perf_counter() - before)
            pause(0.002)
        return times


def pause(seconds: float) -> None:
    """Let time pass: how long a fault lasts, never a wait for something to happen."""
    threading.Event().wait(seconds)


def text(size: int) -> bytes:
    """A request of about so many bytes."""
    return b'{"fields": ["text"], "values": [["%s"]]}' % (b"x" * size)


_ROWS = b",".join([b"[0]"] * 10_000)
ODD_BODIES = [
    (b'{"fields": ["a"], "values": [%s]}' % values, b"[[0]]")
    for values in (
        b"[NaN]",
        b'["\\ud800"]',
        b'["\\u0000"]',
        b'["\0"]',
        b'["\xff\xfe"]',
        b"[" * 5000 + b"1" + b"]" * 5000,
        b"[1e400]",
        b"[1",
    )
] + [
    (b'{"fields":   ["\xc3\xa4"], "values": [[1.0]]}', b"[[0]]"),
    (b'{"fields": ["a"], "values": [%s]}' % _ROWS, b"[%s]" % _ROWS),
    (b"no JSON at all", b"[[0]]"),
    (b"", b"[[0]]"),
]
"""Requests and values of responses that are none, or hardly any, of the contract."""


def scoring(
    producer_id: str, number: int, request: bytes | None = None, response: bytes = b"[[0]]"
) -> ScoringSpan:
    """The span of a producer's scoring of this number."""
    return ScoringSpan(
        request=b'{"fields": ["n"], "values": [[%d]]}' % number if request is None else request,
        response=b'{"fields": ["p"], "values": %s}' % response,
        trace_id="0" * 32,
        start_time=START,
        end_time=START + 7_000_000,
        scoring_id=f"{producer_id[:12]}-{number}",
        producer_id=producer_id,
        sequence=number,
    )


class Oracle:
    """Compares what was accepted with the mart, the dead letters and what waits.

    Args:
        settings: keyword arguments of the processes that score, without the spool root.
        stored: the ids that the mart holds, a double one twice.
        folder: where the spool root and the accepted log are.
    """

    def __init__(
        self, settings: Mapping[str, Any], stored: Callable[[], Collection[str]], folder: Path
    ) -> None:
        self.root = folder / "spool"
        # A busy machine may need longer than the two seconds that a service is given.
        self.settings = {"shutdown_seconds": 60, **settings, "spool_dir": str(self.root)}
        self.stored = stored
        self.accepted = AcceptedLog(folder / "accepted")

    @property
    def how(self) -> dict[str, Any]:
        """What a scoring process must be told to score for this oracle."""
        return {"accepted": str(self.accepted.path), "settings": self.settings}

    def note_in(self, path: Path) -> Path:
        """Keep the accepted log elsewhere, from now on."""
        self.accepted.close()
        self.accepted.path.unlink()
        self.accepted = AcceptedLog(path)
        return path

    @contextmanager
    def scorer(self, **settings: Any) -> Iterator[Scorer]:
        """A scorer in this process; what it put is drained at the end where the mart answers."""
        intake = Intake(Settings.load({**self.settings, **settings}, {}))
        try:
            yield Scorer(intake, self.accepted)
        finally:
            intake.close()

    def dead_letters(self) -> list[DeadLetter]:
        """The dead letters of the root."""
        return list(read_letters(self.root / "dead"))

    def blocked(self) -> str:
        """Why delivery is paused, as the processes say it."""
        known = (report.status or {} for report in read_directories(self.root))
        return " ".join(status.get("blocked") or "" for status in known)

    def liveness(self, seconds: float = LIVENESS_SECONDS) -> None:
        """The fault is over: a new record arrives, and everything that waited, too.

        Args:
            seconds: how long that may take; more than the bound where a backlog comes first.
        """
        with self.scorer() as scorer:
            new = scorer.score()
            assert new, "a record was refused after the fault"
            wait_until(
                lambda: scorer.intake.flush(5) and all(map(is_owned, directories(self.root))),
                "a new record and everything that waited is delivered",
                seconds=seconds,
            )
        assert new in self.stored(), "the new record is not in the mart"

    def recovers(self, seconds: float = LIVENESS_SECONDS, **allowed: Any) -> Account:
        """Both: `liveness`, then `check`."""
        self.liveness(seconds)
        return self.check(**allowed)

    def check(
        self, *, dead: int = 0, unaccepted: int = 0, refused: int = 0, lost: Iterable[str] = ()
    ) -> Account:
        """Nothing accepted is missing, nothing is double, and the account agrees with the mart.

        Args:
            dead: how many dead letters there must be.
            unaccepted: how many records may be there whose producer was killed before the yes.
            refused: how many calls were told no; a kill may come before that is written down.
            lost: ids that a test has taken from the disk itself.
        """
        accepted = self.accepted.ids()
        assert len(accepted) == len(set(accepted)), "the test accepted an id twice"
        account = read_account(self.root)
        stored = Counter(self.stored())
        letters = self.dead_letters()
        if unaccepted:
            # What a kill has torn in the middle of a write stays as its bytes; nobody was told yes.
            torn = [one for one in letters if one.code == "damaged"]
            assert len(torn) <= unaccepted
            letters = [one for one in letters if one not in torn]
        reasons = {(letter.code, letter.reason) for letter in letters}
        assert len(letters) == dead, f"{len(letters)} dead letters: {sorted(reasons)[:5]}"
        buried = {letter.scoring_id for letter in letters}
        known = set(stored) | buried | account.ids("waiting")
        missing = set(accepted) - known - set(lost)
        assert not missing, f"{len(missing)} accepted and nowhere: {sorted(missing)[:5]}"
        double = {scoring_id for scoring_id, count in stored.items() if count > 1}
        assert not double, f"{len(double)} double in the mart: {sorted(double)[:5]}"
        # These scorings bring their numbers: to the root they are from elsewhere.
        gaps = account.missing_count + sum(gap.size for gap in account.outstanding)
        gaps -= len(set(lost)) + max(0, refused - account.totals["refused"])
        assert gaps <= 0, (
            f"the account misses {gaps}: {account.missing[:5]} {account.outstanding[:5]}"
        )
        assert account.scored == sum(account.totals.values()) + account.missing_count
        said = account.ids("stored")
        assert said <= set(stored), (
            f"in the ledger, not in the mart: {sorted(said - set(stored))[:5]}"
        )
        unsaid = (
            set(accepted) - set(lost) - account.ids("waiting") - account.ids("dead-lettered") - said
        )
        assert not unsaid, f"accepted, and not in the account: {sorted(unsaid)[:5]}"
        more = set(stored) - set(accepted)
        assert len(more) <= unaccepted, f"{len(more)} in the mart, of which none was accepted"
        return account


def stored_in(mart: ScriptedMart) -> Callable[[], list[str]]:
    """What a scripted mart holds, for the oracle."""
    return lambda: list(mart.stored)
