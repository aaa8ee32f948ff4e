"""The intake: takes scoring spans from a door and answers for them.

It encodes a span, puts it in the spool, and only then says yes. It owns the spool and the delivery
worker of this process, and opens them with the first span, so that a process that forks before has
nothing to share.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, NamedTuple

from scorespan import producer
from scorespan.conversion.span import ScoringSpan, encode
from scorespan.delivery.batch import ledger_item
from scorespan.delivery.client import MartClient
from scorespan.delivery.settle import Settler
from scorespan.delivery.worker import DeliveryWorker
from scorespan.errors import SpoolError
from scorespan.settings import Settings
from scorespan.spool.ledger import REFUSED, LedgerItem
from scorespan.spool.root import Route, default_root, prepare_root
from scorespan.spool.spool import Spool
from scorespan.telemetry import RepeatedLog

_MOST_REFUSED_BEFORE = 10_000


class _Running(NamedTuple):
    spool: Spool
    settler: Settler
    worker: DeliveryWorker
    client: MartClient


class Intake:
    """The way in for scoring spans of this process.

    Raises:
        SettingsError: from the constructor, where settings are missing or the spool root cannot
            be used.
    """

    def __init__(self, settings: Settings) -> None:
        settings.check_delivery()
        self.settings = settings
        self.root = settings.spool_dir or default_root()
        prepare_root(self.root)
        self._log = RepeatedLog()
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._refused_before: list[LedgerItem] = []
        self._closed = False
        # Numbers that went to another spool would look like missing ones in this one's account.
        producer.renew()
        _after_fork(self)

    def accept(self, span: ScoringSpan) -> bool:
        """Take one span; true when it is in the spool.

        What the span leaves open (ids, producer, sequence) is filled in. A span that the spool
        refuses is counted as refused, and the reason is logged. Never raises for what happens
        on the disk; never waits for the network or a sync.
        """
        if (
            span.sequence is None
            or span.producer_id is None
            or span.subscription_id is None
            or span.deployment_id is None
            or (span.binding_id is None and self.settings.binding_id is not None)
        ):
            span = self._completed(span)
        try:
            running = self._running or self._start()
            running.spool.put(encode(span))
        except (SpoolError, OSError) as error:
            self._refuse(span, error)
            return False
        return True

    def flush(self, timeout: float = 10.0) -> bool:
        """Deliver what was accepted; false where that took longer than `timeout` seconds."""
        running = self._running
        return running is None or running.worker.flush(timeout)

    def close(self) -> None:
        """Drain for `shutdown_seconds`, then stop; the rest is on disk. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        running = self._running
        if running is None:
            return
        try:
            if running.worker.stop(self.settings.shutdown_seconds):
                running.settler.close(blocked=running.worker.blocked)
                running.spool.close()
                running.client.close()
        except OSError as error:
            self._log.warning("close", "the spool was not closed: %s", error)

    def _completed(self, span: ScoringSpan) -> ScoringSpan:
        """The span with ids from the settings and a number of ours where it has none."""
        settings = self.settings
        missing: dict[str, Any] = {}
        if span.subscription_id is None:
            missing["subscription_id"] = settings.subscription_id
        if span.binding_id is None:
            missing["binding_id"] = settings.binding_id
        if span.deployment_id is None:
            missing["deployment_id"] = settings.deployment_id
        if span.producer_id is None or span.sequence is None:
            missing["producer_id"], missing["sequence"] = producer.next_number()
        return span._replace(**missing)

    def _start(self) -> _Running:
        with self._lock:
            if self._running is None:
                settings = self.settings
                route = Route(
                    settings.data_mart_url or "", settings.data_mart_id or "", settings.api_version
                )
                spool = Spool(
                    self.root,
                    route,
                    max_bytes=settings.spool_max_bytes,
                    full_wait=settings.full_wait_ms / 1000,
                    log=self._log,
                )
                try:
                    settler = Settler(spool, log=self._log)
                except OSError:
                    spool.close()
                    raise
                client = MartClient(settings)
                worker = DeliveryWorker(spool, client, settler, log=self._log)
                worker.start()
                self._running = _Running(spool, settler, worker, client)
                for item in self._refused_before:
                    settler.refuse(item)
            return self._running

    def _refuse(self, span: ScoringSpan, error: Exception) -> None:
        self._log.warning("refused", "a record is refused: %s", error)
        item = ledger_item(span, REFUSED)
        with self._lock:
            running = self._running
            if running is None and len(self._refused_before) < _MOST_REFUSED_BEFORE:
                # The spool could not be opened: told to the ledger when it can be.
                self._refused_before.append(item)
        if running is not None:
            running.settler.refuse(item)

    def _forget(self) -> None:
        """In a forked child: what is open belongs to the parent."""
        self._lock = threading.Lock()
        self._log = RepeatedLog()
        self._refused_before = []
        running, self._running = self._running, None
        if running is not None:
            running.spool.abandon()
            running.settler.abandon()


def _after_fork(intake: Intake) -> None:
    # A weak reference: a hook can never be taken back, and must not keep every intake alive.
    held = weakref.ref(intake)

    def in_child() -> None:
        alive = held()
        if alive is not None:
            alive._forget()  # noqa: SLF001 - the hook is the intake's own

    os.register_at_fork(after_in_child=in_child)
