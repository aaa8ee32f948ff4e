"""The data mart's side: what it holds, page by page."""

from __future__ import annotations

from collections.abc import Iterator

from scorespan.delivery.client import MartClient

_PAGE = 1000


def stored_ids(client: MartClient, subscription_id: str) -> Iterator[str]:
    """Scoring ids that our own data mart holds for a subscription.

    Raises:
        DeliveryError: the mart did not answer as ours does.
    """
    after: str | None = None
    while True:
        page = client.get(
            "/scoring_payloads", subscription_id=subscription_id, limit=_PAGE, after=after
        )
        for record in page["records"]:
            yield str(record["scoring_id"])
        after = page["after"]
        if after is None:
            return
