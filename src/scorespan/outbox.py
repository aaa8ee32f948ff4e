"""The outbox: scoring spans on their way to an OTLP exporter, such as to a Collector.

It stands where the SDK's batch processor would. That one counts spans, whatever their size, drops
the oldest when it is full, and waits at the end for as long as its exporter likes.
"""

from __future__ import annotations

import importlib
import os
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from scorespan.otlp import exporter_module
from scorespan.telemetry import RepeatedLog
from scorespan.threads import native, start, wait_apart

_MIB = 1024**2
_MAX_BYTES = 64 * _MIB
_BATCH_BYTES = 2 * _MIB  # many receivers refuse a request of more than 4 MiB
_BATCH_SPANS = 512
_SPAN_BYTES = 1024  # what a span holds beside the text of its attributes
_DELAY_SECONDS = 1.0
_SUPPRESS = "suppress_instrumentation"
_SUPPRESSED = context_api.Context(
    {getattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY", _SUPPRESS): True, _SUPPRESS: True}
)


def otlp_exporter() -> SpanExporter:
    """The exporter that the `OTEL_EXPORTER_OTLP_*` variables name.

    Raises:
        SettingsError: the protocol is unknown, or the exporter's package is not installed.
    """
    module = importlib.import_module(exporter_module())
    exporter: SpanExporter = module.OTLPSpanExporter()
    return exporter


class Outbox(SpanProcessor):
    """Keeps scoring spans in memory until they are exported, at most so many bytes of them.

    A span that finds no room is refused: its number is missing at the data mart. A batch that the
    exporter gives up is not offered again. Any thread may end a span; it never waits.

    Args:
        make_exporter: makes what exports; called again in a forked child, whose connections must
            not be its parent's.
        shutdown_seconds: how long `shutdown` waits.
        max_bytes: how much may wait; one span that is larger is taken where nothing does.
        delay: seconds after which what waits is exported, however little it is.
    """

    def __init__(
        self,
        make_exporter: Callable[[], SpanExporter],
        shutdown_seconds: float,
        *,
        max_bytes: int = _MAX_BYTES,
        delay: float = _DELAY_SECONDS,
    ) -> None:
        self._make_exporter = make_exporter
        self._shutdown_seconds = shutdown_seconds
        self._max_bytes = max_bytes
        self._delay = delay
        self._log = RepeatedLog()
        self._exporter: SpanExporter | None
        self._renew()
        self._exporter = make_exporter()
        held = weakref.WeakMethod(self._renew)

        def in_child() -> None:
            renew = held()
            if renew is not None:
                renew()

        os.register_at_fork(after_in_child=in_child)

    def _renew(self) -> None:
        """Begin anew; in a forked child, what waits is the parent's."""
        self._exporter = None
        # Reentrant: a signal handler that scores may interrupt a thread that holds it.
        self._changed = native.Condition(native.RLock())
        self._waiting: deque[tuple[ReadableSpan, int]] = deque()
        self._bytes = 0
        self._put = self._done = 0
        self._hurried = False
        self._worker: native.Thread | None = None

    def on_start(self, span: Span, parent_context: context_api.Context | None = None) -> None:
        """Nothing: what counts is the span that ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take the span, if there is room. Never raises."""
        try:
            self._take(span)
        except Exception as error:  # noqa: BLE001 - the caller's scoring must not see our fault
            self._log.warning("take", "a span was not taken: %s", type(error).__name__)

    def _take(self, span: ReadableSpan) -> None:
        size = _size(span)
        with self._changed:
            if self._bytes and self._bytes + size > self._max_bytes:
                self._log.warning(
                    "full", "a scoring is refused: %d bytes wait for the Collector", self._bytes
                )
                return
            self._waiting.append((span, size))
            self._bytes += size
            self._put += 1
            if self._bytes >= _BATCH_BYTES or len(self._waiting) >= _BATCH_SPANS:
                self._hurried = True
                self._changed.notify_all()
            if self._worker is None:
                self._worker = native.Thread(target=self._work, name="scorespan", daemon=True)
                if not start(self._worker):
                    self._worker = None

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export what was taken before; false where that took longer, and it goes on."""
        return wait_apart(lambda: self._flushed(timeout_millis / 1000))

    def shutdown(self) -> None:
        """Export what waits, within the seconds of the settings. Spans may come still."""
        self.force_flush(int(self._shutdown_seconds * 1000))

    def _flushed(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self._changed:
            # Taken when no thread could be started any more.
            alone = self._worker is None and bool(self._waiting)
        if alone:  # without the lock: who ends a span does not wait for the network
            self._send_all()
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            put = self._put
            while self._done < put:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._hurried:
                    self._changed.wait(self._delay)
                self._hurried = False
            self._send_all()

    def _send_all(self) -> None:
        token = context_api.attach(_SUPPRESSED)
        try:
            self._send_batches()
        finally:
            context_api.detach(token)

    def _send_batches(self) -> None:
        while batch := self._next_batch():
            try:
                self._exporter = self._exporter or self._make_exporter()
                result = self._exporter.export([span for span, _ in batch])
                failure = "refused" if result is not SpanExportResult.SUCCESS else None
            except Exception as error:  # noqa: BLE001 - of somebody else's exporter
                failure = type(error).__name__
            if failure:
                self._log.warning("export", "scorings did not reach the Collector: %s", failure)
            with self._changed:
                self._bytes -= sum(size for _, size in batch)
                self._done += len(batch)
                self._changed.notify_all()

    def _next_batch(self) -> list[tuple[ReadableSpan, int]]:
        batch: list[tuple[ReadableSpan, int]] = []
        size = 0
        with self._changed:
            while self._waiting and len(batch) < _BATCH_SPANS:
                if batch and size + self._waiting[0][1] > _BATCH_BYTES:
                    break
                batch.append(self._waiting.popleft())
                size += batch[-1][1]
        return batch


def _size(span: ReadableSpan) -> int:
    values: list[Any] = list((span.attributes or {}).values())
    for event in span.events:
        values += (event.attributes or {}).values()
    return _SPAN_BYTES + sum(len(value) for value in values if isinstance(value, (str, bytes)))
