"""The sender: claimed entries in, each of them settled out, or set aside until it can be."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from scorespan.delivery.batch import Ready, read_items
from scorespan.delivery.client import MartClient, Pieces
from scorespan.delivery.lag import Lag
from scorespan.delivery.list_settler import ListSettler
from scorespan.delivery.lists import KEPT_FAILING, Aside, RecordList
from scorespan.delivery.retry import (
    Accepted,
    Blocked,
    Outcome,
    Pace,
    Refusal,
    Rejected,
    Retryable,
    Waits,
    backoff,
)
from scorespan.delivery.settle import Settler
from scorespan.delivery.subscription_switch import Place
from scorespan.record import wire_list
from scorespan.spool.reader import Entry
from scorespan.telemetry import RepeatedLog, logger
from scorespan.threads import Bell

_LONGEST_SILENCE = 1.0


class Stopping(Exception):  # noqa: N818 - not an error: unwinds a delivery that shutdown ends
    """Shutdown has come; what is not settled stays in the spool."""


class Sender:
    """Sends until every record of a claim is settled in exactly one way, or set aside.

    A list that the mart cannot take while it takes others is set aside. It stays claimed, and is
    tried again between the claims to come. Used by one thread; any thread may read the attributes.

    Args:
        client: where to.
        settler: writes down what became of an entry.
        stop: ends every wait.
        log: where faults are reported.
        see: told the places of the records in hand.
        waits: how long to wait.
        aside: what is set aside; made with these waits unless given.
        chance: for jitter.
        clock: seconds that only grow.
        wall_clock: nanoseconds since the epoch.

    Attributes:
        blocked: why the route is paused; None while it is not.
        posts: requests by the kind of their outcome.
        resent: records in posts that were not their first.
        lag: seconds from the end of a scoring until its record was stored.
        oldest_waiting: when the oldest scoring in hand ended, in nanoseconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - time and chance are parameters
        self,
        client: MartClient,
        settler: Settler,
        stop: Bell,
        *,
        log: RepeatedLog,
        see: Callable[[Iterable[Place]], None] = lambda _: None,
        waits: Waits | None = None,
        aside: Callable[[Pace], Aside] = Aside,
        chance: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._client = client
        self._settler = settler
        self._lists = ListSettler(settler, self.wait_after, log)
        self._stop = stop
        self._log = log
        self._see = see
        self._waits = waits or Waits()
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._clock = clock
        self._wall_clock = wall_clock
        self._route = Pace(self._waits, self._chance, clock)
        self._aside = aside(Pace(self._waits, self._chance, clock))
        self._fresh: deque[RecordList] = deque()
        self._kind: str | None = None
        self.blocked: str | None = None
        self.posts = {"accepted": 0, "rejected": 0, "retryable": 0, "blocked": 0}
        self.resent = 0
        self.lag = Lag()
        self.oldest_waiting: int | None = None

    @property
    def set_aside(self) -> int:
        """How many records are set aside."""
        return self._aside.records

    @property
    def left(self) -> float | None:
        """Seconds until something that is set aside is due; None where nothing is."""
        return self._aside.left

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Convert, send and settle; then try what is set aside and due.

        Raises:
            Stopping: shutdown came first; what is not settled stays in the spool.
        """
        ready, unreadable = read_items(entries)
        if unreadable:
            self._lists.unreadable(unreadable)
        if ready:
            self.oldest_waiting = ready[0].span.end_time
            if self._mart_kind() == "openscale":
                ready = self._lists.without_openscale(ready)
        if ready:
            places = {(one.record.binding_id, one.record.subscription_id) for one in ready}
            self._see(map(Place._make, places))
            self._fresh.append(RecordList(ready))
        while self._fresh or self._aside.left == 0:
            self._wait(self._route.left)
            if self._aside.left == 0:
                self._try_aside()
            elif self._fresh:
                self._send(self._fresh.popleft())
        self.oldest_waiting = self._aside.oldest

    def forget(self) -> None:
        """What is in hand comes with the next claims again."""
        self._fresh.clear()
        self._aside.clear()
        self._show_aside()

    def wait_after(self, faults: int) -> None:
        """Wait after so many faults in a row.

        Raises:
            Stopping: shutdown came first.
        """
        waits = self._waits
        self._wait(backoff(faults, self._chance, first=waits.first, cap=waits.longest))

    def _send(self, fresh: RecordList) -> None:
        """Send a list. Where the mart cannot take it, another list shows whether it takes any."""
        outcome = self._post(fresh, None)
        if not isinstance(outcome, (Retryable, Blocked)):
            self._settle(fresh, outcome)
            return
        if isinstance(outcome, Retryable) and outcome.of_list:
            fresh.failed(outcome, self._client.timeout)
            others_pass = self._route.failures == 0
            if not self._aside.full and (others_pass or fresh.failures >= KEPT_FAILING):
                self._set_aside(fresh, outcome.reason)
                self._route.failed()
                return
        self._fresh.appendleft(fresh)
        self._refused(outcome)

    def _try_aside(self) -> None:
        """Send one list of those that are set aside. Its failure says nothing about the route."""
        started = self._clock()
        one = self._aside.take()
        outcome = self._post(one, one.timeout)
        if not isinstance(outcome, (Retryable, Blocked)):
            self._aside.pace.passed()
            self._show_aside()
            self._settle(one, outcome)
        elif isinstance(outcome, Retryable) and outcome.of_list:
            one.failed(outcome, self._client.timeout)
            # What the mart hangs at takes at most a third of the time.
            self._set_aside(one, outcome.reason, rest=2 * (self._clock() - started))
        else:
            self._aside.put_back(one)
            self._refused(outcome)

    def _set_aside(self, one: RecordList, reason: str, *, rest: float = 0.0) -> None:
        self._log.warning(
            "aside", "records are set aside and tried again, nothing is dropped: %s", reason
        )
        self._aside.add(one, reason)
        self._aside.pace.failed(rest)
        self._show_aside()

    def _show_aside(self) -> None:
        self._settler.set_aside = (self._aside.records, self._aside.reason)

    def _settle(self, one: RecordList, outcome: Accepted | Rejected) -> None:
        """Settle what the mart has said its word about; the rest of a refused list goes next."""
        if isinstance(outcome, Accepted):
            self._lists.stored(one)
            self.lag.add([item.span.end_time for item in one.items], self._wall_clock())
        else:
            self._fresh.extendleft(reversed(self._lists.rejected(one, outcome)))

    def _post(self, one: RecordList, timeout: float | None) -> Outcome:
        """Post a list; where the token is refused, once more with a new one."""
        try:
            body = self._body(one.items)
        except Exception as error:  # noqa: BLE001 - one record's fault must not hold up the others
            fault = Refusal(0, "fault", f"the record has no wire form: {type(error).__name__}")
            return Rejected(0, "", (fault,) if len(one.items) == 1 else ())
        one.wire_bytes = len(body)
        outcome = self._post_body(one, body, timeout)
        # While the route is blocked, each pause has asked for a new token.
        if isinstance(outcome, Blocked) and outcome.token and self.blocked is None:
            self._client.forget_token()
            outcome = self._post_body(one, body, timeout)
        if isinstance(outcome, (Accepted, Rejected)):
            self._resumed()
        return outcome

    def _post_body(self, one: RecordList, body: bytes | Pieces, timeout: float | None) -> Outcome:
        count = len(one.items)
        self.resent += count if one.posts else 0
        one.posts += 1
        outcome = self._client.post_records(body, count=count, timeout=timeout)
        self.posts[type(outcome).__name__.lower()] += 1
        return outcome

    def _body(self, items: Sequence[Ready]) -> bytes | Pieces:
        extras = self._kind == "scorespan"
        first = items[0].record
        # What is opaque is more than a claim takes beside others, so it is alone.
        if first.opaque and len(items) == 1:
            return Pieces(first.wire_pieces(extras=extras))
        return wire_list([one.record for one in items], extras=extras)

    def _refused(self, outcome: Retryable | Blocked) -> None:
        """The route is not there: the next request waits."""
        if isinstance(outcome, Blocked):
            self.blocked = outcome.reason
            self._log.warning(
                "blocked", "delivery is paused, nothing is dropped: %s", outcome.reason
            )
            self._client.forget_token()
            self._route.rest(self._waits.blocked)
        else:
            self._log.warning(
                "retry", "delivery is waiting, nothing is dropped: %s", outcome.reason
            )
            self._route.failed(outcome.after or 0.0)
        self._settler.write_status(blocked=self.blocked)

    def _resumed(self) -> None:
        self.blocked = None
        self._route.passed()
        if self._log.over("blocked") | self._log.over("retry"):
            logger.warning("delivery goes on")

    def _mart_kind(self) -> str:
        """The data mart's kind, asked for until there is an answer, and then known."""
        while self._kind is None:
            self._wait(self._route.left)
            found = self._client.kind()
            if isinstance(found, str):
                self._kind = found
                self._resumed()
            else:
                self._refused(found)
        return self._kind

    def _wait(self, seconds: float) -> None:
        """Wait, while people can see how it stands."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            if self._stop.wait(min(left, _LONGEST_SILENCE)):
                raise Stopping
            self._settler.write_status(blocked=self.blocked)
        if self._stop.is_set():
            raise Stopping
