"""What reconcile found, as lines under headings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import NamedTuple

from scorespan.reconcile import WAITING, Account, Gap, Lost, Report
from scorespan.spool.counts import Spot
from scorespan.spool.ledger import DEAD_LETTERED
from scorespan.spool.root import Route

SHOWN = 100
"""Names of one kind that are shown on a terminal; `--json` has all."""


def sections(report: Report, *, dated: bool) -> Iterator[Section]:
    """First what is missing, then what an auditor wants to know beside it.

    Args:
        report: what was found.
        dated: whether a time was asked for.
    """
    for section in (*_missing(report), *_beside(report, dated=dated)):
        if section.lines:
            yield section


class Section(NamedTuple):
    """What is told by name: of so many records these lines; nothing where there are none."""

    heading: str
    records: int
    lines: list[str]


def _missing(report: Report) -> Iterator[Section]:
    yield Section(
        "missing: the ledger calls them stored, the data mart does not have them",
        len(report.lost),
        [_lost(lost) for lost in report.lost],
    )
    yield _gaps(
        "missing: counted as stored, without ids, and the data mart does not have them",
        report.unnamed,
    )
    yield Section(
        "missing: counted as stored, without ids, and the data mart has fewer",
        sum(short.lacking for short in report.short),
        [f"{short.lacking:,} of {_spot(short.spot)}" for short in report.short],
    )
    yield from letter_sections(report.account)
    yield _gaps(
        "missing: numbers that a producer gave, and that are nowhere though higher ones are",
        report.gaps,
    )
    yield _gaps(
        "missing at the end: counted by the producer above everything that is known of it",
        report.trailing,
    )
    yield _gaps(
        "outstanding, on the way or lost: producers elsewhere gave these numbers, and higher ones"
        " have come",
        report.account.outstanding,
    )


def letter_sections(account: Account) -> Iterator[Section]:
    """Dead letters that are missing; sections may be empty."""
    letterless = account.letterless
    yield Section(
        "missing: the ledger calls them dead-lettered, their letters are gone",
        len(letterless.named),
        [_lost(lost) for lost in letterless.named],
    )
    yield _gaps(
        "missing: counted as dead-lettered, without ids, and their letters are gone",
        [*letterless.numbers],
    )
    yield Section(
        "missing letters: of damaged stretches without a name, by their place",
        0,
        [f"{gap.producer_id} at {_place(gap)}" for gap in letterless.places],
    )


def nameless_notes(account: Account) -> Iterator[str]:
    """What is told of entries that say no name."""
    kept = {DEAD_LETTERED: "kept as dead letters", WAITING: "waiting in the spool"}
    for outcome, count in account.nameless.items():
        stretches = "1 damaged stretch" if count == 1 else f"{count:,} damaged stretches"
        yield (
            f"{stretches} without a name: {kept.get(outcome, outcome)};"
            " what the producers counted of them is among the missing"
        )


def outstanding_notes(account: Account) -> Iterator[str]:
    """What is told of numbers that have not come to a root, before the data mart is asked."""
    if account.outstanding:
        count = sum(gap.size for gap in account.outstanding)
        producers = len({gap.producer_id for gap in account.outstanding})
        yield (
            f"outstanding here, of producers elsewhere: {count:,} (producers: {producers:,});"
            " whether the data mart has them, scorespan reconcile says"
        )


def _beside(report: Report, *, dated: bool) -> Iterator[Section]:
    """What is not missing, and an auditor wants to know."""
    yield _gaps(
        "not judged: numbers that are nowhere yet, of processes that live and do not move",
        report.held,
    )
    yield Section(
        "sent twice: numbers of records that are known under another number, and are counted once",
        len(report.repeated),
        [_lost(one) for one in report.repeated],
    )
    yield Section(
        "twice in the data mart, which does not know one record from another",
        len(report.doubled),
        [f"{one.scoring_id}  {one.subscription_id}  {one.times} times" for one in report.doubled],
    )
    yield Section(
        "conflicts: another record came under the same id, and the first one stands",
        len(report.conflicts),
        [f"{one.scoring_id}  {one.subscription_id}" for one in report.conflicts],
    )
    yield Section(
        "not judged here: what else the data mart has, of other spool roots",
        sum(one.records for one in report.others),
        [
            f"{_producer(one.producer_id)}: {one.records:,} records"
            + (f", {one.open:,} numbers open" if one.open else "")
            for one in report.others
        ],
    )
    yield Section(
        "not compared: what goes to other routes",
        sum(report.elsewhere.values()),
        [f"{_route(route)}: {count:,} records" for route, count in report.elsewhere.items()],
    )
    yield Section("notes", 0, [*_notes(report, dated=dated)])


def _notes(report: Report, *, dated: bool) -> Iterator[str]:
    yield from nameless_notes(report.account)
    if report.unexpected:
        yield (
            f"{report.unexpected:,} stored by the data mart's word alone: the ledger had not"
            " written them down when it was read, or has lost them"
        )
    if report.unnamed or report.short:
        yield (
            "where spans come without numbers, a copy that was sent again after a lost answer looks"
            " like a missing record once its id has gone"
        )
    if report.by_others:
        yield (
            f"{report.by_others:,} of producers elsewhere stored by the data mart's word alone:"
            " they came by way of other spool roots, or the ledger has not written them down"
        )
    if report.outstanding:
        yield (
            "what is outstanding may wait in the application or a Collector, or stand in another"
            " receiver's spool or dead letters: lost is what stays outstanding for every receiver"
        )
        if report.kind == "openscale":
            yield "this data mart shows no numbers: what others delivered is outstanding here, too"
    if report.account.cut:
        yield f"{report.account.cut:,} ledger lines cannot be read, cut by a crash or damaged"
    if dated and (report.unnamed or report.gaps or report.trailing or report.outstanding):
        yield "numbers without a name have no time: they are told whatever time is asked for"


def _lost(lost: Lost) -> str:
    return (
        f"{lost.scoring_id or 'its id is no longer kept'}  {_spot(lost.spot)}  producer"
        f" {lost.producer_id} number {lost.number}"
    )


def _place(gap: Gap) -> str:
    """Entries that are whole have numbers, damaged bytes an offset."""
    return _numbers(gap) if gap.last > 0 else f"byte {-gap.last}"


def _by_producer(gaps: Iterable[Gap]) -> list[str]:
    """One line for each producer."""
    numbers: dict[str, list[Gap]] = {}
    for gap in gaps:
        numbers.setdefault(gap.producer_id, []).append(gap)
    return [
        f"{_producer(producer_id)}: {', '.join(map(_numbers, found[:SHOWN]))}"
        + (f" and {len(found) - SHOWN:,} more stretches; --json has all" * (len(found) > SHOWN))
        for producer_id, found in numbers.items()
    ]


def _gaps(heading: str, gaps: list[Gap]) -> Section:
    return Section(heading, sum(gap.size for gap in gaps), _by_producer(gaps))


def _producer(producer_id: str) -> str:
    return f"producer {producer_id}" if producer_id else "no producer"


def _numbers(gap: Gap) -> str:
    return str(gap.first) if gap.first == gap.last else f"{gap.first} to {gap.last}"


def _route(route: Route | None) -> str:
    if route is None:
        return "an unknown route"
    return f"{route.url}, data mart {route.data_mart_id}"


def _spot(spot: Spot) -> str:
    try:
        moment = datetime.fromtimestamp(spot.minute * 60, timezone.utc)
    except (ValueError, OverflowError, OSError):
        shown = "at no known time"
    else:
        shown = f"{moment:%Y-%m-%d %H:%M}"
    return f"{spot.subscription_id} / {spot.deployment_id}  {shown}"
