"""Subscribing without a client: data mart, binding and subscription made in one go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scorespan.mart.access import Mart
from scorespan.mart.place import DEFAULT_DATA_MART
from scorespan.mart.store import Binding, Subscription
from scorespan.mart.timestamp import utc_text

DEFAULT_BINDING = "binding"


def subscribe(  # noqa: PLR0913 - what a subscription consists of
    mart: Mart,
    data_mart_id: str,
    subscription_id: str,
    *,
    binding_id: str = DEFAULT_BINDING,
    asset_properties: Mapping[str, Any] | None = None,
    enabled: bool = True,
) -> None:
    """Make data mart, binding and subscription, and switch payload logging.

    What is there stays; what was stored under the subscription stays, too.
    """
    now = mart.clock()
    secrets = mart.authority.encrypt(b'{"credentials": {}}')
    made = utc_text(now)
    asset = {"asset_id": subscription_id, "name": subscription_id, "asset_type": "model"}
    with mart.store.writing() as writer:
        writer.put_data_mart(data_mart_id, now)
        writer.put_binding(
            data_mart_id, Binding(binding_id, "engine", "custom_machine_learning", secrets, made)
        )
        writer.put_subscription(
            data_mart_id,
            Subscription(
                subscription_id, binding_id, asset, dict(asset_properties or {}), [], made
            ),
        )
        writer.put_payload_logging(
            data_mart_id, subscription_id, enabled=enabled, dynamic_schema=True
        )


def subscribe_once(mart: Mart, subscription_id: str) -> None:
    """Make a subscription of the default data mart, unless it is there already."""
    with mart.store.reading() as reader:
        known = reader.has_table(DEFAULT_DATA_MART, subscription_id)
    if not known:
        subscribe(mart, DEFAULT_DATA_MART, subscription_id)
