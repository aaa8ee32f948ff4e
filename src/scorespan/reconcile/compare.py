"""The comparison of ledger and spool with the data mart.

Read in the order in which records travel: status, spool, ledger, data mart. What seems to be
missing is looked for again before it is said.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from scorespan.delivery.client import MartClient
from scorespan.errors import DeliveryError
from scorespan.reconcile.account import Account, nameless_of
from scorespan.reconcile.asked import Asked, Findings, Side
from scorespan.reconcile.gaps import Gaps, look_again
from scorespan.reconcile.letterless import find_letterless
from scorespan.reconcile.payload import Payload
from scorespan.reconcile.reading import RootReader
from scorespan.reconcile.records import RecordsSide
from scorespan.reconcile.report import Report
from scorespan.reconcile.rows import RowsSide
from scorespan.reconcile.tally import Tally
from scorespan.reconcile.window import Window
from scorespan.spool.counts import Source
from scorespan.spool.root import Route

PATIENCE_SECONDS = 10.0
"""How long a living process is given to write its status again, and senders to get in order."""


def reconcile(  # noqa: PLR0913 - time and waiting are parameters
    root: Path,
    client: MartClient,
    route: Route,
    *,
    window: Window | None = None,
    patience: float = PATIENCE_SECONDS,
    on_step: Callable[[str], None] = lambda _: None,
    on_read: Callable[[int], None] = lambda _: None,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Compare a spool root with a data mart; processes may be running, and deliver.

    Memory: about 13 bytes for each record of the root's producers that has a name.

    Args:
        root: the spool root.
        client: the data mart; used by one thread at a time.
        route: what of the root goes there.
        window: what to compare by name; all of it where it is None.
        patience: seconds to wait for living processes whose numbers are open, and for open numbers
            that come from elsewhere, as they come in any order.
        on_step: told what is done now.
        on_read: told how many records of the data mart were read since the last time.
        wait: waits so many seconds.
        clock: seconds that only grow.

    Raises:
        DeliveryError: the data mart was not reached, or did not answer as one.
    """
    kind = client.kind()
    if not isinstance(kind, str):
        raise DeliveryError(kind.reason)
    tally = Tally(unknown_route=route, hashes=True)
    asked = Asked(root, route, window or Window(), tally)
    payload = Payload(client, on_read=on_read, wait=wait)
    side: Side
    if kind == "openscale":
        side = RowsSide(asked, payload, wait=wait)
    else:
        side = RecordsSide(asked, payload)
    on_step("reading spool and ledger")
    reader = RootReader(root, tally)
    reader.read()
    on_step("reading the data mart")
    side.walk()
    gaps = Gaps(tally, asked.sources().values())
    on_step("looking for open numbers once more")
    held = (
        look_again(reader, gaps, patience=patience, beyond=side.look, wait=wait, clock=clock)
        if gaps
        else []
    )
    on_step("comparing with the data mart")
    found = side.find(gaps.wanted)
    gaps.drop_known(tally)
    _take_away(asked, found)
    letterless = find_letterless(root, tally, route=route, window=asked.window)
    return Report(
        kind=kind,
        route=route,
        account=Account(
            tally,
            [*found.unnamed, *gaps.left()],
            asked.concerns,
            letterless=letterless,
            nameless=nameless_of(tally, lambda one: one == route),
            outstanding=[*gaps.outstanding()],
        ),
        gaps=[*gaps.left(trailing=False)],
        trailing=[*gaps.left(trailing=True)],
        held=held,
        unexpected=tally.unexpected,
        by_others=tally.by_others,
        elsewhere=_elsewhere(asked),
        **found._asdict(),
    )


def _take_away(asked: Asked, found: Findings) -> None:
    """What is missing is stored no more, and what came twice is counted once."""
    for lost in (*found.lost, *found.repeated):
        asked.tally.take_away(Source(asked.route, lost.producer_id), lost.number, lost.number)
    for gap in found.unnamed:
        asked.tally.take_away(Source(asked.route, gap.producer_id), gap.first, gap.last)
    for short in found.short:
        asked.tally.counted.take(asked.route, short.spot, short.lacking)


def _elsewhere(asked: Asked) -> dict[Route | None, int]:
    counts: Counter[Route | None] = Counter()
    for route, _, _, count in asked.tally.totals():
        if route != asked.route:
            counts[route] += count
    return dict(counts)
