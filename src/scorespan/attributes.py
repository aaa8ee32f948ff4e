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
"""string[]: columns of a request that names none."""
PREDICTION_FIELDS: Final = "scoring.prediction.fields"
"""string[]: columns of a response that names none, in this order.

This, the feature names and the dialect stand on the span, else on the resource (there also as one
string with commas).
"""
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
REQUEST_ENCODING: Final = "scoring.request.encoding"
RESPONSE_ENCODING: Final = "scoring.response.encoding"
"""How the text of a body was made of its bytes, in the order in which it was done, with commas
between: content codings such as `gzip`, then `base64`; or `sha256`, where only the digest in hex is
kept. Without it the text is the body."""
REQUEST_SIZE: Final = "scoring.request.size"
RESPONSE_SIZE: Final = "scoring.response.size"
"""int: bytes that the body really had, where not all of them are kept."""
REQUEST_ID: Final = "scoring.request.id"
"""The id that the caller or the server gave the call, such as `x-request-id`; kept beside."""
HTTP_STATUS: Final = "scoring.http.status_code"
"""int: status of the answer."""
HOOK: Final = "scoring.hook"
"""Which hook saw the scoring: `flask`, `starlette`, `azureml`, ..."""
RESPONSE_CHUNKS: Final = "scoring.response.chunks"
FIRST_BYTE_TIME: Final = "scoring.response.first_byte_time"
"""int: parts in which a streamed answer went out, and ms until the first of them."""
PRINTS: Final = "scoring.prints"
"""string[]: lines that model code printed during the scoring."""
DEPENDENCY_COUNT: Final = "scoring.dependencies.count"
DEPENDENCY_TIME: Final = "scoring.dependencies.time"
DEPENDENCY_FAILURES: Final = "scoring.dependencies.failures"
"""int: calls that went out during the scoring, ms that they took together, and how many failed."""
STACKTRACE: Final = "scoring.error.stacktrace"
"""The traceback of a failed scoring; else that of its exception event."""

SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
