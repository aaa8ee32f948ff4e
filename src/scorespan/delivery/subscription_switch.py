"""The subscription switch: whose payload logging is off, as the data mart's configuration says.

Without it the data mart's refusal of a record is what switches that record off, after its bodies
went to the disk and over the network. The data mart is asked on a thread of its own: a post may
wait for its answer for minutes, and the scorings that come meanwhile must not miss a change.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote

from scorespan.conversion.span import Ids, ScoringSpan
from scorespan.delivery.client import MartClient
from scorespan.errors import DeliveryError, TokenError
from scorespan.settings import Settings
from scorespan.telemetry import RepeatedLog, logger
from scorespan.threads import native, start

PERIOD = (15.0, 20.0)
"""Seconds between two questions, by chance, so that processes that began together part. With the
time for an answer a change is known within 30 seconds."""
MOST_FOLLOWED = 1000
"""Subscriptions that are asked about; the records of others are as the mart answers them."""
_LONGEST_ANSWER = 8.0
_LATER = frozenset({408, 425, 429})


class Place(NamedTuple):
    """Where a record belongs, as the configuration knows it."""

    binding_id: str | None
    subscription_id: str | None


class SubscriptionSwitch:
    """Asks the data mart about the subscriptions that are scored for, until it is ended.

    A subscription is on until the data mart says that it is off. It stays as it was while there is
    no answer; where the mart does not know it, or not us, it is on: what becomes of its records is
    then the answer to them. Nothing is asked before the first period has passed.

    Args:
        settings: where to; nothing is asked where they do not follow the subscription.
        log: where faults and changes are reported.
        period: seconds between two questions, at least and at most.
        chance: for jitter.

    Attributes:
        off: places whose payload logging is off; replaced as a whole, so that any thread may read
            it as often as it likes.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        log: RepeatedLog | None = None,
        period: tuple[float, float] = PERIOD,
        chance: random.Random | None = None,
    ) -> None:
        self._follows = settings.follow_subscription
        self._client = MartClient(
            dataclasses.replace(
                settings, timeout_seconds=min(settings.timeout_seconds, _LONGEST_ANSWER)
            )
        )
        self._log = log or RepeatedLog()
        self._period = period
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._followed: dict[Place, None] = {}
        self._stop = native.Event()
        self._thread: native.Thread | None = None
        self.off: frozenset[Place] = frozenset()

    def see(self, places: Iterable[Place]) -> None:
        """Records of these places are delivered; from now on they are asked about. One thread."""
        if not self._follows or self._stop.is_set():
            return
        for place in places:
            if len(self._followed) < MOST_FOLLOWED:
                self._followed[place] = None
        if self._thread is None:
            self._thread = native.Thread(target=self._run, name="scorespan-switch", daemon=True)
            with suppress(RuntimeError):  # no more threads: then nothing is followed
                start(self._thread)

    def parted(
        self, spans: Sequence[ScoringSpan], ids: Ids
    ) -> tuple[Sequence[ScoringSpan], Sequence[ScoringSpan]]:
        """Those that are on, and those that are off; `ids` are those of spans that have none."""
        off = self.off
        if not off:
            return spans, ()
        switched_off = [place_of(span, ids) in off for span in spans]
        return (
            [span for span, is_off in zip(spans, switched_off, strict=True) if not is_off],
            [span for span, is_off in zip(spans, switched_off, strict=True) if is_off],
        )

    def ask(self) -> None:
        """Ask about every place once. To be called by one thread at a time."""
        for place in list(self._followed):
            if self._stop.is_set():
                return
            try:
                configuration = self._client.get(_path(place))
            except DeliveryError as error:
                if not _refused(error):
                    return  # the mart is not there, for the others as little
                if error.status == 401:
                    self._client.forget_token()
                self._followed.pop(place)  # until it is scored for again
                self._turn(place, on=True)
            else:
                enabled = configuration.get("enabled") if isinstance(configuration, dict) else None
                if isinstance(enabled, bool):
                    self._turn(place, on=enabled)

    def end(self) -> None:
        """Ask nothing more; does not wait for an answer that is on its way."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._chance.uniform(*self._period)):
            try:
                self.ask()
            except Exception as error:  # noqa: BLE001 - the thread must outlive any fault
                self._log.warning("switch", "payload logging: %s", type(error).__name__)
        self._client.close()

    def _turn(self, place: Place, *, on: bool) -> None:
        if on == (place not in self.off):
            return
        name = str(place.subscription_id)
        if on:
            self.off -= {place}
            if self._log.over(f"off {name}"):
                logger.warning("payload logging of %s is on again", name)
        else:
            self.off |= {place}
            self._log.warning(
                f"off {name}",
                "payload logging of %s is switched off: its scorings are counted, not kept",
                name,
            )


def place_of(span: ScoringSpan, ids: Ids) -> Place:
    """Where the record of a span belongs; `ids` where the span does not say it."""
    return Place(
        ids.binding_id if span.binding_id is None else span.binding_id,
        ids.subscription_id if span.subscription_id is None else span.subscription_id,
    )


def _path(place: Place) -> str:
    """Address of the configuration. Only our own mart takes records without a binding."""
    binding = "" if place.binding_id is None else f"/service_bindings/{_quoted(place.binding_id)}"
    subscription = _quoted(place.subscription_id)
    return f"{binding}/subscriptions/{subscription}/configurations/payload_logging"


def _quoted(part: Any) -> str:
    return quote(str(part), safe="", errors="replace")


def _refused(error: DeliveryError) -> bool:
    """Whether this is a no, rather than no answer, or one that a passing fault gave."""
    if isinstance(error, TokenError):
        return error.refused
    status = error.status
    return status is not None and 400 <= status < 500 and status not in _LATER
