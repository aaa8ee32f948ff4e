"""What is installed for each server: exact versions, by the server's short name."""

from __future__ import annotations

from isolated.environments import CORE

OPENTELEMETRY = ("opentelemetry-api==1.45.2", "opentelemetry-sdk==1.45.2")
"""The newest; a server that pins another one brings its own."""

PINS: dict[str, tuple[str, ...]] = {
    "azureml": (
        *CORE,
        "azureml-inference-server-http==1.5.1",
        "opentelemetry-api==1.33.0",
        "opentelemetry-sdk==1.33.0",
    ),
}
