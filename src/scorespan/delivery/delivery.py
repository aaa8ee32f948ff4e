"""Delivery: spool, client and worker of one process, opened and closed together."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from scorespan.delivery.client import MartClient
from scorespan.delivery.instruments import Reading, instruments
from scorespan.delivery.lag import Lag
from scorespan.delivery.refused import Refused
from scorespan.delivery.sender import Sender
from scorespan.delivery.settle import Settler
from scorespan.delivery.subscription_switch import PERIOD, SubscriptionSwitch
from scorespan.delivery.worker import DeliveryWorker
from scorespan.producer import Counted
from scorespan.settings import Settings
from scorespan.spool.ledger import LedgerItem
from scorespan.spool.root import Route
from scorespan.spool.spool import Spool
from scorespan.telemetry import RepeatedLog
from scorespan.threads import Bell

_LOOK_SECONDS = 5.0
_SECOND = 1_000_000_000


class _ReportedLag(Lag):
    """The lag, reported to the meter as well, once for each post."""

    def add(self, ends: Sequence[int], now: int) -> None:
        super().add(ends, now)
        if ends:
            instruments.stored_after(max(0, now - min(ends)) / _SECOND)


class Delivery:
    """What is put at one end arrives at the data mart; any thread may put.

    Args:
        settings: where to, and how.
        root: the spool root, prepared.
        log: where faults are reported.
        refused: what was turned away, or switched off, before this was open.
        counted: who numbers what is put.
        asked_every: seconds between two questions for the subscription's configuration, at least
            and at most.

    Attributes:
        switch: whose payload logging is off.

    Raises:
        Exception: from the constructor, where spool or client cannot be opened; nothing stays
            behind.
    """

    def __init__(  # noqa: PLR0913 - time is a parameter
        self,
        settings: Settings,
        root: Path,
        log: RepeatedLog,
        refused: Refused | None = None,
        counted: Counted | None = None,
        *,
        asked_every: tuple[float, float] = PERIOD,
    ) -> None:
        self._log = log
        self._client = MartClient(settings)
        self.switch = SubscriptionSwitch(settings, log=log, period=asked_every)
        with ExitStack() as undo:
            undo.callback(self._client.close)
            self._spool = Spool(
                root,
                Route(
                    settings.data_mart_url or "", settings.data_mart_id or "", settings.api_version
                ),
                max_bytes=settings.spool_max_bytes,
                full_wait=settings.full_wait_ms / 1000,
                min_free=settings.spool_min_free_bytes,
                durable=settings.sync == "durable",
                log=log,
            )
            undo.callback(self._spool.close)
            self._settler = Settler(self._spool, refused, counted, log=log)
            undo.callback(self._settler.abandon)
            self._worker = DeliveryWorker(
                self._spool,
                self._settler,
                self._sender_until,
                at_end=self._close_all,
                log=log,
            )
            self._settler.told = self._told
            self._oldest: float | None = None
            self._letters = 0
            self._look_due = 0.0
            self._worker.start()
            undo.pop_all()
        instruments.report(self.reading)
        self.put = self._spool.put_made
        self.put_all = self._spool.put_all
        self.refusal = self._spool.refusal
        self.between_puts = self._spool.between_puts

    @property
    def gone(self) -> bool:
        """Whether the spool's directory was removed: nothing more can be put here."""
        return self._spool.gone

    def reading(self) -> Reading:
        """What was counted until now. Touches no disk; any thread may ask."""
        in_hand = self._sender.oldest_waiting
        waiting = self._spool.waiting
        on_disk = self._oldest if waiting else None
        return Reading(
            outcomes=self._settler.counts,
            posts=self._sender.posts,
            resent=self._sender.resent,
            damaged_bytes=self._spool.damaged_bytes,
            sync_failures=self._spool.sync_failures,
            waiting=waiting,
            oldest=on_disk if in_hand is None else in_hand / _SECOND,
            spool_bytes=self._spool.size,
            set_aside=self._sender.set_aside,
            dead_letters=self._letters,
            paused=self._sender.blocked is not None,
        )

    def refuse(self, item: LedgerItem) -> None:
        """Write down that this record was refused, or switched off, at the door."""
        self._settler.refuse(item)
        self._spool.arrived.set()

    def flush(self, timeout: float) -> bool:
        """Deliver what was put before; false where that took longer than `timeout` seconds."""
        return self._worker.flush(timeout)

    def close(self, drain_seconds: float) -> None:
        """Drain for at most so many seconds, then close; the rest is on disk.

        Where the worker hangs at an answer, it closes what is open when that has come.
        """
        self.switch.end()
        ended = self._worker.stop(drain_seconds)
        instruments.end(self.reading)
        if not ended:
            try:
                self._settler.write_late()
            except OSError as error:
                self._log.warning("close", "the ledger was not written: %s", error.strerror)

    def leave(self) -> None:
        """End without waiting, where the spool is gone: what is claimed there is not awaited."""
        self.switch.end()
        self._worker.end()
        instruments.end(self.reading)

    def _sender_until(self, stop: Bell) -> Sender:
        self._sender = Sender(self._client, self._settler, stop, log=self._log, see=self.switch.see)
        self._sender.lag = _ReportedLag()
        return self._sender

    def _told(self) -> dict[str, Any]:
        """What the status tells beside what the settler knows; looks at the disk for it."""
        now = time.monotonic()
        self._oldest = self._spool.oldest()
        if now >= self._look_due:
            with suppress(FileNotFoundError), os.scandir(self._spool.root / "dead") as found:
                self._letters = sum(not letter.name.startswith(".") for letter in found)
            # Many take long to count: at most one part in fifty of the time.
            self._look_due = now + max(_LOOK_SECONDS, 50 * (time.monotonic() - now))
        told = self.reading()._asdict()
        del told["outcomes"], told["paused"], told["set_aside"], told["spool_bytes"]
        lag = self._sender.lag
        return {**told, "lag": {"count": lag.count, "sum": lag.sum, "buckets": lag.buckets}}

    def _close_all(self) -> None:
        try:
            with ExitStack() as ends:  # each, whether or not another fails
                ends.callback(self._client.close)
                ends.callback(self._spool.close)
                self._settler.close(blocked=self._worker.blocked)
        except OSError as error:
            self._log.warning("close", "the spool was not closed: %s", error.strerror)

    def abandon(self) -> None:
        """Drop what is open without touching a file: for a forked child, whose parent owns it."""
        self._spool.abandon()
        self._settler.abandon()
