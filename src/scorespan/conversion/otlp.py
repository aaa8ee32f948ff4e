"""Reader of OTLP's spans: an ExportTraceServiceRequest, in either format, into ScoringSpans."""

from __future__ import annotations

from scorespan.conversion.otlp_json import read_otlp_json
from scorespan.conversion.otlp_protobuf import read_otlp
from scorespan.conversion.otlp_reading import Read

__all__ = ["Read", "read_otlp", "read_otlp_json"]
