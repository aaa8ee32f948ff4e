"""OTLP: which exporter the standard variables ask for, and whether it is installed."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping

from scorespan.errors import SettingsError

_PACKAGES = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
}


def exporter_module(environ: Mapping[str, str] = os.environ) -> str:
    """The name of the module that has the `OTLPSpanExporter`; it is not imported.

    Raises:
        SettingsError: the protocol is unknown, or the exporter's package is not installed.
    """
    variable = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    if not environ.get(variable):
        variable = "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = environ.get(variable, "").strip() or "http/protobuf"
    package = _PACKAGES.get(protocol)
    if package is None:
        raise SettingsError(variable, f"must be {' or '.join(_PACKAGES)} (it is {protocol!r})")
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # of its parents, even
        found = None
    if found is None:
        needed = package.replace(".", "-")
        raise SettingsError(
            "SCORESPAN_EXPORT", f"otlp over {protocol} needs a package: pip install {needed}"
        )
    return f"{package}.trace_exporter"
