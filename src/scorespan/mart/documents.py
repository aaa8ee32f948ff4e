"""Documents: data marts, bindings and subscriptions as clients see them. Pure."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from scorespan.mart.table import Columns, table_schema

if TYPE_CHECKING:
    from scorespan.mart.store import Binding, PayloadTable, Subscription

SCHEMA = "scorespan"
"""The schema that table names start with. Clients need one even from the internal database."""

PAYLOAD_LOGGING = "payload_logging"
PERFORMANCE = "performance_monitoring"

_ACTIVE = {"state": "active"}
_MASK = "***"


def data_mart_document(created_at: str) -> dict[str, Any]:
    """A data mart. The member `scorespan` tells this mart from the hosted service."""
    return {
        "database_configuration": {
            "database_type": "sqlite",
            "name": "internal",
            "credentials": {},
            "location": {"schema": SCHEMA},
        },
        "internal_database": True,
        "created_at": created_at,
        "status": _ACTIVE,
        "scorespan": {"version": version("scorespan")},
    }


def redacted(value: object) -> object:
    """A secret document with its keys and none of its values."""
    if isinstance(value, dict):
        return {key: redacted(inner) for key, inner in value.items()}
    return _MASK


def binding_document(data_mart_id: str, binding: Binding, secrets: dict[str, Any]) -> Any:
    """A service binding; `secrets` are shown by their keys only."""
    return {
        "metadata": {
            "guid": binding.binding_id,
            "url": f"/v1/data_marts/{data_mart_id}/service_bindings/{binding.binding_id}",
            "created_at": binding.created_at,
        },
        "entity": {
            "name": binding.name,
            "service_type": binding.service_type,
            "instance_id": binding.binding_id,
            "status": _ACTIVE,
            **{name: redacted(value) for name, value in secrets.items()},
        },
    }


def subscription_document(
    data_mart_id: str, subscription: Subscription, monitors: dict[str, bool]
) -> Any:
    """A subscription with its configured monitors, by name and whether they are on."""
    url = (
        f"/v1/data_marts/{data_mart_id}/service_bindings/{subscription.binding_id}"
        f"/subscriptions/{subscription.subscription_id}"
    )
    return {
        "metadata": {
            "guid": subscription.subscription_id,
            "url": url,
            "created_at": subscription.created_at,
        },
        "entity": {
            "service_binding_id": subscription.binding_id,
            "asset": subscription.asset,
            "asset_properties": subscription.asset_properties,
            "deployments": subscription.deployments,
            "configurations": [
                {"type": name, "enabled": enabled, "url": f"{url}/configurations/{name}"}
                for name, enabled in monitors.items()
            ],
            "status": _ACTIVE,
        },
    }


def payload_logging_document(
    subscription_id: str, table: PayloadTable, properties_text: str
) -> dict[str, Any]:
    """The configuration of payload logging; the output schema appears with the first record."""
    parameters: dict[str, Any] = {
        "table_name": f"{SCHEMA}.Payload_{subscription_id}",
        "dynamic_schema_update": table.dynamic_schema,
    }
    if table.columns != Columns():
        schema = table_schema(table.columns.text(), properties_text)
        parameters["output_data_schema"] = {"type": "struct", "fields": schema.fields}
    return {"enabled": table.enabled, "parameters": parameters}
