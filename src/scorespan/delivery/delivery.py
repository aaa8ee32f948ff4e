"""Delivery: spool, client and worker of one process, opened and closed together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from scorespan.delivery.client import MartClient
from scorespan.delivery.sender import Sender
from scorespan.delivery.settle import Settler
from scorespan.delivery.worker import DeliveryWorker
from scorespan.settings import Settings
from scorespan.spool.ledger import LedgerItem
from scorespan.spool.root import Route
from scorespan.spool.spool import Spool
from scorespan.telemetry import RepeatedLog


class Delivery:
    """What is put at one end arrives at the data mart; any thread may put.

    Raises:
        Exception: from the constructor, where spool or client cannot be opened; nothing stays
            behind.
    """

    def __init__(self, settings: Settings, root: Path, log: RepeatedLog) -> None:
        self._log = log
        self._client = MartClient(settings)
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
            self._settler = Settler(self._spool, log=log)
            undo.callback(self._settler.abandon)
            self._worker = DeliveryWorker(
                self._spool,
                self._settler,
                lambda stop: Sender(self._client, self._settler, stop, log=log),
                at_end=self._close_all,
                log=log,
            )
            self._worker.start()
            undo.pop_all()
        self.put = self._spool.put

    def refuse(self, items: Sequence[LedgerItem]) -> None:
        """Write down that these records were refused at the door."""
        for item in items:
            self._settler.refuse(item)
        self._spool.arrived.set()

    def flush(self, timeout: float) -> bool:
        """Deliver what was put before; false where that took longer than `timeout` seconds."""
        return self._worker.flush(timeout)

    def close(self, drain_seconds: float) -> None:
        """Drain for at most so many seconds, then close; the rest is on disk.

        Where the worker hangs at an answer, it closes what is open when that has come.
        """
        if not self._worker.stop(drain_seconds):
            try:
                self._settler.write_late()
            except OSError as error:
                self._log.warning("close", "the ledger was not written: %s", error.strerror)

    def _close_all(self) -> None:
        try:
            self._settler.close(blocked=self._worker.blocked)
            self._spool.close()
        except OSError as error:
            self._log.warning("close", "the spool was not closed: %s", error.strerror)
        finally:
            self._client.close()

    def abandon(self) -> None:
        """Drop what is open without touching a file: for a forked child, whose parent owns it."""
        self._spool.abandon()
        self._settler.abandon()
