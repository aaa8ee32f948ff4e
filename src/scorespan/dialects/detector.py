"""The detector: which dialect a request is in, by its keys and its content type."""

from __future__ import annotations

from typing import Protocol

from scorespan.dialects import (
    azure_service,
    azure_studio,
    fields_values,
    kserve,
    mlflow,
    objects,
    open_inference,
    sagemaker_csv,
    sagemaker_json,
    text,
)
from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.native import Native
from scorespan.errors import ConversionError


class Dialect(Protocol):
    """What a dialect's module offers."""

    NAME: str
    KEEPS_TEXT: bool
    """Whether its bodies go on as they came, so that nobody has to parse them."""

    def recognises(self, native: Native) -> bool:
        """Whether the request is in this dialect. May raise what `NativeBody.document` raises."""

    def read(self, native: Native) -> DialectBodies | ConversionError:
        """Both bodies as fields/values, or the reason why not, returned or raised."""


ORDER: tuple[Dialect, ...] = (
    fields_values,
    azure_studio,
    text,
    open_inference,
    mlflow,
    sagemaker_csv,
    sagemaker_json,
    kserve,
    azure_service,
    objects,
)
"""Dialects as they are asked; the first that recognises a request reads it."""
BY_NAME: dict[str, Dialect] = {dialect.NAME: dialect for dialect in ORDER}


def detected(native: Native) -> Dialect:
    """The dialect of a scoring.

    What no dialect recognises is `text`, and so is what is not whole.

    Raises:
        ConversionError: `invalid_json`; the span does not say that the request is anything but
            JSON, and it is not.
    """
    request, response = native.request, native.response
    if not request.whole or (response is not None and not response.whole):
        return text
    for dialect in ORDER:
        try:
            if dialect.recognises(native):
                return dialect
        except ConversionError:  # no JSON: those that read something else are asked still
            continue
    if request.content_type is None and native.response is not None:
        request.document  # noqa: B018 - raises where it is none
    return text
