"""The reception: takes the scoring spans of one request into the intake, whichever door it came by.

What it counts is shown by these instruments of OpenTelemetry, from the global meter provider:

=========================== ======= ========= ======================================================
instrument                  kind    unit      what it shows
=========================== ======= ========= ======================================================
scorespan.receiver.requests counter {request} by `outcome`: `taken`, `invalid`, `unauthorized`,
                                              `too_large`, `unavailable`
scorespan.receiver.spans    counter {span}    of the requests taken, by `kind`: `scoring`,
                                              `unreadable` (kept aside), `other`
=========================== ======= ========= ======================================================
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from scorespan.conversion.otlp import Read
from scorespan.errors import (
    ConversionError,
    ReceiverError,
    SpoolClosedError,
    SpoolError,
    SpoolFullError,
    SpoolSmallError,
)
from scorespan.intake import Intake
from scorespan.telemetry import RepeatedLog

FULL_SECONDS = 10
"""Retry-After where the spool is full: what is there has to be delivered first."""
FAILING_SECONDS = 5
"""Retry-After where the disk fails, or our own code."""
STOPPING_SECONDS = 1
"""Retry-After while stopping: another process may be there already."""

_OUTCOMES = {401: "unauthorized", 413: "too_large", 503: "unavailable"}
_SETTINGS = frozenset({"unauthorized", "too_large"})
"""What the settings of a sender are wrong for, whose records may be good ones."""


class Taken(NamedTuple):
    """What was in a request whose records are kept; counts of spans."""

    scorings: int
    others: int
    unreadable: int
    why: str | None

    @property
    def warning(self) -> str | None:
        """What the sender is told beside yes (it rejects nothing); None: nothing."""
        if not self.unreadable:
            return None
        return f"{self.unreadable} scoring spans cannot be read and are kept aside: {self.why}"


class Reception:
    """Takes requests, one at a time in each thread; any thread may come.

    Args:
        intake: where the spans go; its settings say `durable`.
        log: where faults are reported.
    """

    def __init__(self, intake: Intake, *, log: RepeatedLog | None = None) -> None:
        self._intake = intake
        self._log = log or RepeatedLog()
        self._stopping = False
        self._lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.spans: Counter[str] = Counter()

    def take(self, body: bytes, read: Callable[[bytes], Read]) -> Taken:
        """Take every scoring span of a request that `read` reads; returns when they are synced.

        A span that cannot be read is kept as well; only the answer tells of it.

        Raises:
            ReceiverError: 400, the body is none; 503, not now, and some spans may have been kept:
                the sender has them all and sends them again.
        """
        try:
            found = self._kept(body, read)
        except ReceiverError as error:
            self.refused(error)
            raise
        taken = Taken(len(found.spans), found.others, found.unreadable, found.why)
        with self._lock:
            self.requests["taken"] += 1
            self.spans["scoring"] += taken.scorings - taken.unreadable
            self.spans["unreadable"] += taken.unreadable
            self.spans["other"] += taken.others
        return taken

    def refused(self, error: ReceiverError) -> None:
        """Count a request that a door refuses; what `take` refuses is counted there."""
        outcome = _OUTCOMES.get(error.status, "invalid")
        with self._lock:
            self.requests[outcome] += 1
        if outcome in _SETTINGS:
            # A Collector drops what is refused so: somebody has to learn of it here.
            self._log.warning(f"receiver {outcome}", "requests are refused: %s", error.reason)

    def failed(self, error: BaseException) -> ReceiverError:
        """What a door answers for a fault of our own code: not now. The log names its type."""
        name = type(error).__name__
        self._log.warning(f"receiver {name}", "a request failed: %s", name)
        return ReceiverError(503, "the receiver failed", retry_after=FAILING_SECONDS)

    def not_ready(self) -> str | None:
        """Why requests would be refused now; None: ready. See `Intake.not_ready`."""
        return "the receiver is stopping" if self._stopping else self._intake.not_ready()

    def stop(self) -> None:
        """Refuse what comes from now on. Idempotent."""
        self._stopping = True

    def report(self, meter: Meter | None = None) -> None:
        """Show the counts to OpenTelemetry; once for each process."""
        meter = meter or get_meter("scorespan")
        meter.create_observable_counter(
            "scorespan.receiver.requests",
            [self._observed("outcome", self.requests)],
            "{request}",
            "Requests by what became of them.",
        )
        meter.create_observable_counter(
            "scorespan.receiver.spans",
            [self._observed("kind", self.spans)],
            "{span}",
            "Spans of the requests taken.",
        )

    def _observed(
        self, attribute: str, counts: Counter[str]
    ) -> Callable[[CallbackOptions], Sequence[Observation]]:
        def observed(_: CallbackOptions) -> Sequence[Observation]:
            with self._lock:
                return [Observation(count, {attribute: name}) for name, count in counts.items()]

        return observed

    def _kept(self, body: bytes, read: Callable[[bytes], Read]) -> Read:
        if self._stopping:
            raise ReceiverError(503, "the receiver is stopping", retry_after=STOPPING_SECONDS)
        try:
            found = read(body)
            if found.spans:
                self._intake.accept_all(found.spans)
        except ConversionError as error:
            raise ReceiverError(400, error.reason) from error
        except SpoolClosedError as error:
            raise ReceiverError(
                503, "the receiver is stopping", retry_after=STOPPING_SECONDS
            ) from error
        except SpoolSmallError as error:
            raise self._not_kept("small", error, FULL_SECONDS) from error
        except SpoolFullError as error:
            raise self._not_kept("full", error, FULL_SECONDS) from error
        except SpoolError as error:
            raise self._not_kept("disk", error, FAILING_SECONDS) from error
        except Exception as error:
            raise self.failed(error) from error
        return found

    def _not_kept(self, key: str, error: SpoolError, seconds: int) -> ReceiverError:
        self._log.warning(f"receiver {key}", "requests are refused: %s", error)
        return ReceiverError(503, str(error), retry_after=seconds)
