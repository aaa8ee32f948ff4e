"""Items: claimed entries with what conversion made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeAlias

from scorespan.conversion.convert import convert
from scorespan.conversion.span import ScoringSpan, decode, salvage
from scorespan.errors import ConversionError, SpoolDamagedError
from scorespan.record import GENERIC_DEPLOYMENT, PayloadRecord
from scorespan.spool.dead import DeadLetter
from scorespan.spool.ledger import LedgerItem
from scorespan.spool.reader import Entry

_MINUTE_NS = 60_000_000_000
# Applications may call their producers what they like, `pod/7` too.
_PLACE = re.compile(r"w-[^/]+/[0-9]+")


class Ready(NamedTuple):
    """An entry with its record."""

    entry: Entry
    span: ScoringSpan
    record: PayloadRecord


class Unreadable(NamedTuple):
    """An entry that cannot become a record, and why."""

    entry: Entry
    span: ScoringSpan
    error: ConversionError


Item: TypeAlias = Ready | Unreadable


def read_items(entries: Iterable[Entry]) -> tuple[list[Ready], list[Unreadable]]:
    """Claimed entries, decoded and converted. Never raises: what cannot be read says so."""
    ready: list[Ready] = []
    unreadable: list[Unreadable] = []
    record: PayloadRecord | ConversionError
    for entry in entries:
        if entry.damaged:
            unreadable.append(_damaged(entry))
            continue
        try:
            span = decode(entry.body)
        except SpoolDamagedError as error:
            damage = ConversionError("damaged", str(error))
            nameless = nameless_span(entry.reading.path, entry.sequence)
            unreadable.append(Unreadable(entry, nameless, damage))
            continue
        try:
            record = convert(span)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not hold up all that follow
            record = ConversionError("fault", f"{type(error).__name__}: {error}")
        if isinstance(record, ConversionError):
            unreadable.append(Unreadable(entry, span, record))
        else:
            ready.append(Ready(entry, span, record))
    return ready, unreadable


def _damaged(entry: Entry) -> Unreadable:
    """Bytes that are no entry, under the record's own name where that can still be read."""
    segment = entry.reading.path
    span = salvaged_span(segment, entry.sequence, entry.body)
    where = f"{segment.parent.name}/{segment.name}"
    reason = f"{len(entry.body)} bytes at {-entry.sequence} of {where}"
    return Unreadable(entry, span, ConversionError("damaged", reason))


def salvaged_span(segment: Path, sequence: int, content: bytes) -> ScoringSpan:
    """What damaged bytes say of their span; their place is its name where they do not give one."""
    span = salvage(content)
    if not span.producer_id or is_place(span.producer_id) or (span.sequence or 0) < 1:
        place = nameless_span(segment, sequence)
        span = span._replace(producer_id=place.producer_id, sequence=place.sequence)
    return span


def nameless_span(segment: Path, sequence: int) -> ScoringSpan:
    """What is known of an entry that is no span: its place, which stands for the producer."""
    return ScoringSpan(producer_id=f"{segment.parent.name}/{segment.stem}", sequence=sequence)


def is_place(producer_id: str) -> bool:
    """Whether a producer's id is the place of an entry that is no span; it gives no numbers."""
    return _PLACE.fullmatch(producer_id) is not None


def ledger_item(span: ScoringSpan, outcome: str) -> LedgerItem:
    """How the ledger names the record of a span."""
    return LedgerItem(
        outcome,
        span.subscription_id or "",
        span.deployment_id or GENERIC_DEPLOYMENT,
        span.producer_id or "",
        span.sequence or 0,
        span.key,
        span.start_time // _MINUTE_NS if span.timestamp is None else _minute(span.timestamp),
    )


def _minute(timestamp: str) -> int:
    """Minutes from the epoch of an RFC 3339 timestamp; 0 where it is none."""
    try:
        moment = datetime.fromisoformat(timestamp[:16] + ":00+00:00")
        offset = timestamp[-6:]
        if offset[0] in "+-":
            ahead = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:6]))
            moment -= ahead if offset[0] == "+" else -ahead
        return int(moment.timestamp() // 60)
    except (ValueError, IndexError, OverflowError):
        return 0


def dead_letter(  # noqa: PLR0913 - one for each thing that is known of it
    item: Item,
    code: str,
    reason: str,
    *,
    status: int | None = None,
    answer: str | None = None,
    attempts: int = 0,
) -> DeadLetter:
    """An entry as a dead letter with this reason."""
    span, entry = item.span, item.entry
    segment = entry.reading.path
    place = f"at-{-entry.sequence}" if entry.damaged else str(entry.sequence)
    return DeadLetter(
        entry.body,
        f"{segment.parent.name}.{segment.stem}.{place}",
        code,
        reason,
        status,
        answer,
        attempts,
        span.key,
        span.subscription_id,
        span.deployment_id,
        span.producer_id,
        span.sequence,
    )
