"""The demo's processes: a data mart and an engine, each started as a user would start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from scorespan.delivery.client import MartClient
from scorespan.errors import ScorespanError
from scorespan.settings import Settings

DATA_MART_ID = "00000000-0000-0000-0000-000000000000"
BINDING_ID = "custom-engine"
SUBSCRIPTION_ID = "breast-cancer"
DEPLOYMENT_ID = "breast-cancer-v1"


class DemoError(ScorespanError):
    """A process of the demo did not start."""


def start_mart(folder: Path) -> tuple[subprocess.Popen[str], Settings]:
    """Start the data mart; returns it with the settings that reach it."""
    command = [sys.executable, "-m", "scorespan.cli", "mart", "--port", "0", "--json"]
    process = _start([*command, "--data", str(folder)], os.environ)
    said = _first_line(process, "data mart")
    settings = {
        "data_mart_url": said["url"],
        "data_mart_id": DATA_MART_ID,
        "api_key": Path(said["admin_key_file"]).read_text().strip(),
        "binding_id": BINDING_ID,
        "subscription_id": SUBSCRIPTION_ID,
        "deployment_id": DEPLOYMENT_ID,
    }
    return process, Settings.load(settings, {})


def register(client: MartClient, fields: list[str]) -> None:
    """Set the data mart up, bind the engine, subscribe the model, switch payload logging on."""
    binding = f"/service_bindings/{BINDING_ID}"
    subscription = f"{binding}/subscriptions/{SUBSCRIPTION_ID}"
    client.call("PUT", "", {"internal_database": True})
    client.call(
        "POST",
        "/service_bindings",
        {
            "name": "Custom engine",
            "service_type": "custom_machine_learning",
            "instance_id": BINDING_ID,
            "credentials": {},
        },
    )
    client.call(
        "PUT",
        subscription,
        {
            "asset": {"asset_id": "breast-cancer", "name": "Breast cancer", "asset_type": "model"},
            "asset_properties": {
                "problem_type": "binary",
                "input_data_type": "structured",
                "prediction_field": "prediction",
                "probability_fields": ["probability"],
                "feature_fields": fields,
            },
            "deployments": [
                {
                    "deployment_id": DEPLOYMENT_ID,
                    "name": "Breast cancer",
                    "deployment_type": "online",
                }
            ],
        },
    )
    client.call("PUT", f"{subscription}/configurations/payload_logging", {"enabled": True})


class Engine:
    """The scoring engine's process, which may be killed and started again on the same port."""

    def __init__(self, settings: Settings, spool: Path) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if "SCORESPAN_" not in name},
            "SCORESPAN_DATA_MART_URL": str(settings.data_mart_url),
            "SCORESPAN_DATA_MART_ID": str(settings.data_mart_id),
            "SCORESPAN_API_KEY": settings.api_key.reveal() if settings.api_key else "",
            "SCORESPAN_BINDING_ID": str(settings.binding_id),
            "SCORESPAN_SUBSCRIPTION_ID": str(settings.subscription_id),
            "SCORESPAN_DEPLOYMENT_ID": str(settings.deployment_id),
            "SCORESPAN_SPOOL_DIR": str(spool),
        }
        self._lock = threading.Lock()
        self._process, self._port = self._start(0)

    def port(self) -> int:
        """Where the engine listens; starts it again where it has died."""
        with self._lock:
            if self._process.poll() is not None:
                self._process, self._port = self._start(self._port)
            return self._port

    def kill(self) -> None:
        """SIGKILL, no farewell."""
        with self._lock:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM: it drains and ends."""
        with self._lock:
            stop(self._process)

    def _start(self, port: int) -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-m", "scorespan.demo.engine", str(port)]
        process = _start(command, self._environment)
        return process, int(_first_line(process, "engine")["port"])


def stop(process: subprocess.Popen[str]) -> None:
    """SIGTERM, and after a while SIGKILL."""
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _start(command: list[str], environment: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own interpreter and modules
        command,
        env=dict(environment),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the demo, which stops them in order
    )


def _first_line(process: subprocess.Popen[str], name: str) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise DemoError(f"the {name} did not start (exit code {process.wait()})")
    said: dict[str, Any] = json.loads(line)
    return said
