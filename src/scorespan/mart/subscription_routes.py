"""Subscription routes: the watched models of a binding and their configurations."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Response

from scorespan.mart.access import TheMart, require_subscription, require_token
from scorespan.mart.answers import MartRoute, answer
from scorespan.mart.data_mart_routes import BINDING, DATA_MART, require_binding
from scorespan.mart.documents import (
    PAYLOAD_LOGGING,
    PERFORMANCE,
    payload_logging_document,
    subscription_document,
)
from scorespan.mart.faults import refusal
from scorespan.mart.incoming import decode, decode_object, read_body
from scorespan.mart.store import Subscription
from scorespan.mart.table import table_schema
from scorespan.mart.timestamp import utc_text

if TYPE_CHECKING:
    from scorespan.mart.store import Reader

SUBSCRIPTIONS = f"{BINDING}/subscriptions"
SUBSCRIPTION = f"{SUBSCRIPTIONS}/{{subscription_id}}"
CONFIGURATION = f"{SUBSCRIPTION}/configurations/{{monitor}}"
UNBOUND_CONFIGURATION = f"{DATA_MART}/subscriptions/{{subscription_id}}/configurations/{{monitor}}"

_PATCHED = "/asset_properties/"

router = APIRouter(route_class=MartRoute, dependencies=[Depends(require_token)])
Body = Annotated[bytes, Depends(read_body)]


@router.put(SUBSCRIPTION)
def put_subscription(
    data_mart_id: str, binding_id: str, subscription_id: str, body: Body, mart: TheMart
) -> Response:
    """Subscribe to a model under the client's id; doing it again renews its documents."""
    document = decode_object(body)
    subscription = Subscription(
        subscription_id,
        binding_id,
        _member(document, "asset", {}),
        _member(document, "asset_properties", {}),
        _member(document, "deployments", []),
        utc_text(mart.clock()),
    )
    with mart.store.writing() as writer:
        require_binding(writer, data_mart_id, binding_id)
        present = writer.subscription(data_mart_id, subscription_id)
        if present is not None and present.binding_id != binding_id:
            message = "another binding has a subscription of this id"
            raise refusal(409, "subscription_exists", message)
        writer.put_subscription(data_mart_id, subscription)
        stored = require_bound(writer, data_mart_id, binding_id, subscription_id)
        return answer(_shown(writer, data_mart_id, stored), 201)


@router.get(SUBSCRIPTIONS)
def list_subscriptions(data_mart_id: str, binding_id: str, mart: TheMart) -> Response:
    """All subscriptions of a binding."""
    with mart.store.reading() as reader:
        require_binding(reader, data_mart_id, binding_id)
        found = reader.subscriptions(data_mart_id, binding_id)
        return answer({"subscriptions": [_shown(reader, data_mart_id, one) for one in found]})


@router.get(SUBSCRIPTION)
def get_subscription(
    data_mart_id: str, binding_id: str, subscription_id: str, mart: TheMart
) -> Response:
    """One subscription."""
    with mart.store.reading() as reader:
        found = require_bound(reader, data_mart_id, binding_id, subscription_id)
        return answer(_shown(reader, data_mart_id, found))


@router.patch(SUBSCRIPTION)
def patch_subscription(
    data_mart_id: str, binding_id: str, subscription_id: str, body: Body, mart: TheMart
) -> Response:
    """Set asset properties by a JSON patch; all of its steps or none."""
    added = _added_properties(decode(body))
    with mart.store.writing() as writer:
        found = require_bound(writer, data_mart_id, binding_id, subscription_id)
        changed = replace(found, asset_properties={**found.asset_properties, **added})
        writer.put_subscription(data_mart_id, changed)
        return answer(_shown(writer, data_mart_id, changed))


@router.delete(SUBSCRIPTION)
def delete_subscription(
    data_mart_id: str, binding_id: str, subscription_id: str, mart: TheMart
) -> Response:
    """Remove a subscription; records that are stored stay stored."""
    with mart.store.writing() as writer:
        require_bound(writer, data_mart_id, binding_id, subscription_id)
        writer.delete_subscription(data_mart_id, subscription_id)
    return Response(status_code=202)


@router.put(CONFIGURATION)
def put_configuration(  # noqa: PLR0913, PLR0917 - five of them are the path
    data_mart_id: str,
    binding_id: str,
    subscription_id: str,
    monitor: str,
    body: Body,
    mart: TheMart,
) -> Response:
    """Switch a monitor; parameters that are not named keep their value."""
    document = decode_object(body)
    enabled = document.get("enabled")
    parameters = _member(document, "parameters", {})
    if not isinstance(enabled, bool):
        raise refusal(400, "wrong_type", "enabled must be true or false", field="enabled")
    with mart.store.writing() as writer:
        require_bound(writer, data_mart_id, binding_id, subscription_id)
        if monitor == PERFORMANCE:
            stored = {"enabled": enabled, "parameters": parameters}
            writer.put_configuration(data_mart_id, subscription_id, monitor, stored)
        elif monitor == PAYLOAD_LOGGING:
            table = writer.tables(data_mart_id, [subscription_id])[subscription_id]
            dynamic = parameters.get("dynamic_schema_update", table.dynamic_schema)
            if not isinstance(dynamic, bool):
                field = "parameters.dynamic_schema_update"
                raise refusal(400, "wrong_type", f"{field} must be true or false", field=field)
            writer.put_payload_logging(
                data_mart_id, subscription_id, enabled=enabled, dynamic_schema=dynamic
            )
        return answer(_configuration(writer, data_mart_id, subscription_id, monitor))


@router.get(CONFIGURATION)
def get_configuration(
    data_mart_id: str, binding_id: str, subscription_id: str, monitor: str, mart: TheMart
) -> Response:
    """What is configured for a monitor."""
    with mart.store.reading() as reader:
        require_bound(reader, data_mart_id, binding_id, subscription_id)
        return answer(_configuration(reader, data_mart_id, subscription_id, monitor))


@router.get(UNBOUND_CONFIGURATION)
def get_unbound_configuration(
    data_mart_id: str, subscription_id: str, monitor: str, mart: TheMart
) -> Response:
    """The same for those who know the subscription alone, as senders of records may."""
    with mart.store.reading() as reader:
        require_subscription(reader, data_mart_id, subscription_id)
        return answer(_configuration(reader, data_mart_id, subscription_id, monitor))


@router.get(f"{SUBSCRIPTION}/payload_table_schema")
def get_payload_table_schema(
    data_mart_id: str, binding_id: str, subscription_id: str, mart: TheMart
) -> Response:
    """The columns of the payload table, in the order of its rows."""
    with mart.store.reading() as reader:
        found = require_bound(reader, data_mart_id, binding_id, subscription_id)
        table = reader.tables(data_mart_id, [subscription_id])[subscription_id]
    schema = table_schema(table.columns.text(), properties_text(found))
    return answer({"table_schema": {"type": "struct", "fields": schema.fields}})


def properties_text(subscription: Subscription) -> str:
    """A subscription's asset properties as the text that schemas are cached by."""
    return json.dumps(subscription.asset_properties)


def require_bound(
    reader: Reader, data_mart_id: str, binding_id: str, subscription_id: str
) -> Subscription:
    """The subscription under its binding.

    Raises:
        MartError: 404, there is none there.
    """
    require_binding(reader, data_mart_id, binding_id)
    found = require_subscription(reader, data_mart_id, subscription_id)
    if found.binding_id != binding_id:
        message = "the binding has no such subscription"
        raise refusal(404, "unknown_subscription", message)
    return found


def _member(document: dict[str, Any], name: str, empty: Any) -> Any:
    value = document.get(name)
    if value is None:
        return empty
    if not isinstance(value, type(empty)):
        kind = "an object" if isinstance(empty, dict) else "a list"
        raise refusal(400, "wrong_type", f"{name} must be {kind}", field=name)
    return value


def _added_properties(patch: Any) -> dict[str, Any]:
    if not isinstance(patch, list):
        raise refusal(400, "wrong_type", "the body must be a JSON patch, a list of steps")
    added: dict[str, Any] = {}
    for step in patch:
        path = step.get("path") if isinstance(step, dict) else None
        name = path[len(_PATCHED) :] if isinstance(path, str) and path.startswith(_PATCHED) else ""
        if not name or "/" in name or step.get("op") != "add" or "value" not in step:
            message = f"a step must add a value at {_PATCHED}{{key}}"
            raise refusal(400, "unsupported_patch", message)
        added[name.replace("~1", "/").replace("~0", "~")] = step["value"]
    return added


def _configuration(
    reader: Reader, data_mart_id: str, subscription_id: str, monitor: str
) -> dict[str, Any]:
    if monitor == PERFORMANCE:
        stored = reader.configuration(data_mart_id, subscription_id, monitor)
        return stored or {"enabled": False, "parameters": {}}
    if monitor != PAYLOAD_LOGGING:
        message = f"this mart has the monitors {PAYLOAD_LOGGING} and {PERFORMANCE}"
        raise refusal(404, "unknown_monitor", message)
    subscription = require_subscription(reader, data_mart_id, subscription_id)
    table = reader.tables(data_mart_id, [subscription_id])[subscription_id]
    return payload_logging_document(subscription_id, table, properties_text(subscription))


def _shown(reader: Reader, data_mart_id: str, subscription: Subscription) -> Any:
    key = subscription.subscription_id
    performance = reader.configuration(data_mart_id, key, PERFORMANCE)
    monitors = {PAYLOAD_LOGGING: reader.tables(data_mart_id, [key])[key].enabled}
    if performance is not None:
        monitors[PERFORMANCE] = performance["enabled"]
    return subscription_document(data_mart_id, subscription, monitors)
