"""The list settler: what became of the records of a list is written down, however long that takes.

The mart has said its word, or it is not asked: asking again because our disk is full would only
load it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scorespan.delivery.batch import Ready, Unreadable, dead_letter
from scorespan.delivery.lists import RecordList
from scorespan.delivery.retry import SWITCHED_OFF, Refusal, Rejected
from scorespan.delivery.settle import Settler
from scorespan.spool.files import FULL
from scorespan.spool.ledger import STORED
from scorespan.spool.ledger import SWITCHED_OFF as LEDGER_SWITCHED_OFF
from scorespan.telemetry import RepeatedLog


class ListSettler:
    """Settles records; where the disk refuses, it waits and tries that again.

    Every method raises what `pause` raises; what is not settled by then stays in the spool.

    Args:
        settler: writes down what became of an entry.
        pause: waits after so many failures in a row.
        log: where faults are reported.
    """

    def __init__(self, settler: Settler, pause: Callable[[int], None], log: RepeatedLog) -> None:
        self._settler = settler
        self._pause = pause
        self._log = log

    def unreadable(self, items: Sequence[Unreadable]) -> None:
        """What cannot become a record becomes a dead letter."""
        letters = [dead_letter(one, one.error.code, one.error.reason) for one in items]
        self._write_down(lambda: self._settler.dead_letter(items, letters))

    def without_openscale(self, ready: Sequence[Ready]) -> list[Ready]:
        """Settle what the hosted mart has no place for, or would refuse for lack of an id.

        Returns:
            The others.
        """
        failed = [one for one in ready if one.record.failed]
        if failed:
            reason = "the data mart has no place for a failed scoring"
            letters = [dead_letter(one, "failed_scoring", reason) for one in failed]
            self._write_down(lambda: self._settler.withhold(failed, letters))
        rest = [one for one in ready if not one.record.failed]
        unbound = [one for one in rest if one.record.binding_id is None]
        if unbound:
            reason = "no scoring.binding.id on the span or its resource, no SCORESPAN_BINDING_ID"
            dead = [dead_letter(one, "no_binding", reason) for one in unbound]
            self._write_down(lambda: self._settler.dead_letter(unbound, dead))
        return [one for one in rest if one.record.binding_id is not None]

    def stored(self, one: RecordList) -> None:
        """The mart has stored all of them."""
        self._write_down(lambda: self._settler.settle(one.items, STORED))

    def rejected(self, one: RecordList, outcome: Rejected) -> list[RecordList]:
        """Settle the records that the mart means.

        Returns:
            What is to be sent next: the others, or both halves where it has not said which it
            means.
        """
        items = one.items
        if outcome.refusals:
            self._refused(items, outcome, one.posts)
            named = {refusal.position for refusal in outcome.refusals}
            rest = [item for position, item in enumerate(items) if position not in named]
            return [RecordList(rest, posts=one.posts)] if rest else []
        if len(items) > 1:
            return [*one.halves()]
        message = f"HTTP {outcome.status}"
        if outcome.status == 413:
            message += f": the record has {one.wire_bytes} bytes"
        alone = outcome._replace(refusals=(Refusal(0, "refused", message),))
        self._refused(items, alone, one.posts)
        return []

    def _refused(self, ready: Sequence[Ready], outcome: Rejected, posts: int) -> None:
        """Settle the records that the mart named: payload logging is off, or dead letters."""
        off = [refusal for refusal in outcome.refusals if refusal.code == SWITCHED_OFF]
        if off:
            unwanted = [ready[one.position] for one in off]
            self._write_down(lambda: self._settler.settle(unwanted, LEDGER_SWITCHED_OFF))
        dead = [refusal for refusal in outcome.refusals if refusal.code != SWITCHED_OFF]
        if dead:
            items = [ready[one.position] for one in dead]
            letters = [
                dead_letter(
                    item,
                    refusal.code,
                    refusal.message,
                    status=outcome.status or None,
                    answer=outcome.answer,
                    attempts=posts,
                )
                for item, refusal in zip(items, dead, strict=True)
            ]
            self._write_down(lambda: self._settler.dead_letter(items, letters))

    def _write_down(self, write: Callable[[], None]) -> None:
        failures = 0
        while True:
            try:
                write()
            except OSError as error:
                failures += 1
                self._log.warning(
                    "write", "what became of records cannot be written down: %s", error.strerror
                )
                if error.errno in FULL:
                    self._settler.make_room()
                self._pause(failures)
            else:
                return
