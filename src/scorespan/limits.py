"""The limits of a provider: what may drop or cut scoring spans on an application's own.

On the private provider of `configure()` there are none. On any other its sampler and its limits
decide what is recorded; here they are told of, loudly and once, before an account is found wanting.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opentelemetry import trace

from scorespan.telemetry import logger

_SAMPLER = "OTEL_TRACES_SAMPLER"
_WHOLE = {"", "always_on", "parentbased_always_on"}
_LENGTHS = ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT")
_COUNTS = ("OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")
_ATTRIBUTES = 32
"""A scoring span has fewer attributes, with some of the application's own."""


class Limits:
    """Tells once what limits scoring spans: at the start, at the first of them, or the first cut.

    Args:
        environ: where the SDK finds its limits.
        provider: the provider that the spans come from, as far as that is known.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        provider: Callable[[], object] = trace.get_tracer_provider,
    ) -> None:
        self._provider = provider
        self._told = False
        self._first = True
        self._tell([f"{name}={environ[name]}" for name in _limiting(environ)])

    def look(self, span: Any) -> None:
        """Look at a scoring span that has ended. Never raises."""
        if self._told:
            return
        with contextlib.suppress(Exception):  # another version of the SDK: nothing to tell from it
            if self._first:
                self._first = False
                self._tell(list(self._of_provider(span)))
            if span.dropped_attributes:
                self._tell([f"{span.dropped_attributes} attributes of a span were dropped"])

    def _of_provider(self, span: Any) -> Iterator[str]:
        length = getattr(getattr(span, "_attributes", None), "max_value_len", None)
        if length is not None:
            yield f"attribute values are cut at {length} characters"
        sampler = getattr(self._provider(), "sampler", None)
        if sampler is not None:
            described = sampler.get_description()
            if not described.startswith(("AlwaysOn", "ParentBased{root:AlwaysOn")):
                yield f"the sampler is {described}"

    def _tell(self, found: list[str]) -> None:
        if found and not self._told:
            self._told = True
            logger.warning(
                "records may be cut or missing: scoring spans obey the limits of the provider that "
                "they come from (%s); scorespan.configure() makes one that has none",
                ", ".join(found),
            )


def _limiting(environ: Mapping[str, str]) -> Iterator[str]:
    if environ.get(_SAMPLER, "").strip().lower() not in _WHOLE:
        yield _SAMPLER
    for name in _LENGTHS:
        if environ.get(name, "").strip():
            yield name
    for name in _COUNTS:
        value = environ.get(name, "").strip()
        if value.isdecimal() and int(value) < _ATTRIBUTES:
            yield name
