"""Access: what every route starts from, the mart behind the request and the right to ask it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from scorespan.mart.faults import refusal
from scorespan.mart.incoming import Room
from scorespan.mart.shapes import Shapes
from scorespan.mart.timestamp import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from scorespan.mart.authority import Authority
    from scorespan.mart.store import Reader, Store, Subscription


@dataclass(frozen=True, slots=True)
class Mart:
    """What the routes share."""

    store: Store
    authority: Authority
    clock: Callable[[], datetime] = utc_now
    shapes: Shapes = field(default_factory=Shapes)
    room: Room = field(default_factory=Room)


def mart_of(request: Request) -> Mart:
    """The mart that the application was made with."""
    return cast("Mart", request.app.state.mart)


TheMart = Annotated[Mart, Depends(mart_of)]


def require_token(request: Request, mart: TheMart) -> None:
    """Let a request in by its bearer token.

    Raises:
        MartError: 401, there is none or it is not good.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not mart.authority.admits(token.strip()):
        raise refusal(401, "unauthorized", "a valid bearer token is needed")


def require_data_mart(reader: Reader, data_mart_id: str) -> str:
    """When the data mart was made.

    Raises:
        MartError: 404, it never was.
    """
    created_at = reader.data_mart(data_mart_id)
    if created_at is None:
        raise refusal(404, "unknown_data_mart", "there is no such data mart")
    return created_at


def require_subscription(reader: Reader, data_mart_id: str, subscription_id: str) -> Subscription:
    """The subscription, whichever binding it belongs to.

    Raises:
        MartError: 404, the data mart has none of that id.
    """
    require_data_mart(reader, data_mart_id)
    subscription = reader.subscription(data_mart_id, subscription_id)
    if subscription is None:
        message = "the data mart has no such subscription"
        raise refusal(404, "unknown_subscription", message, field="subscription_id")
    return subscription
