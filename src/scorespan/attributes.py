"""Names of the scoring span's attributes: scorespan's semantic convention.

A span with `REQUEST`, `RESPONSE` or `ID` is a scoring span. Bodies are JSON strings: a string
survives every SDK version, and one that a limit has cut no longer parses, so the damage is seen.
"""

from __future__ import annotations

from typing import Final

REQUEST: Final = "scoring.request"
RESPONSE: Final = "scoring.response"
REQUEST_CONTENT_TYPE: Final = "scoring.request.content_type"
RESPONSE_CONTENT_TYPE: Final = "scoring.response.content_type"
DIALECT: Final = "scoring.dialect"
ID: Final = "scoring.id"
"""At most 56 characters; else trace id and span id in hex, joined."""
BINDING_ID: Final = "scoring.binding.id"
SUBSCRIPTION_ID: Final = "scoring.subscription.id"
DEPLOYMENT_ID: Final = "scoring.deployment.id"
"""The three ids stand on the span, else on the resource, else in the settings."""
FEATURE_NAMES: Final = "scoring.feature.names"
"""string[]: columns of a body that names none."""
RESPONSE_TIME: Final = "scoring.response_time"
"""int, milliseconds; else the span's duration."""
TIMESTAMP: Final = "scoring.timestamp"
"""RFC 3339, UTC; else the span's start."""
MODEL_NAME: Final = "scoring.model.name"
MODEL_VERSION: Final = "scoring.model.version"
CLIENT_ID: Final = "scoring.client.id"
PRODUCER_ID: Final = "scoring.producer.id"
SEQUENCE: Final = "scoring.sequence"
"""Set by `scorespan.scoring` and every instrumentation: one producer id per process, gapless."""
NOTES: Final = "scoring.notes"
"""string[]: what was changed on the way into JSON, such as a NaN that became null."""
PROBLEM: Final = "scoring.problem"
"""Why a body could not be put on the span; such a span is dead-lettered with this reason."""

SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
