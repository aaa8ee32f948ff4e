"""The exception tree.

::

    ScorespanError
    ├── SettingsError            a setting is missing or wrong; names the variable
    ├── SpoolError               the spool refused or failed
    │   ├── SpoolFullError       the byte bound is reached; nothing was written
    │   │   └── SpoolSmallError  it would be, were the spool empty
    │   ├── SpoolClosedError     put after shutdown
    │   ├── SpoolGoneError       its directory was removed; another can be opened
    │   └── SpoolDamagedError    bytes on disk are not what was written
    ├── ConversionError          a span cannot become a payload record; carries the reason
    ├── DeliveryError            the data mart was not reached or did not accept
    │   └── TokenError           no token could be had
    ├── ReceiverError            an OTLP request is refused; has a status, and when to come again
    └── MartError                a request to the self-hosted mart is refused; has a status

An error that is about one record is a *value*: conversion returns it and the worker dead-letters
the entry with it. Only `configure()` and commands raise towards a user.
"""

from __future__ import annotations


class ScorespanError(Exception):
    """Base of every error that scorespan raises or returns."""


class SettingsError(ScorespanError):
    """A setting is missing or wrong.

    Attributes:
        variable: name of the environment variable, whichever way the value came in.
    """

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"{variable}: {problem}")
        self.variable = variable


class SpoolError(ScorespanError):
    """The spool refused a put or cannot be used."""


class SpoolFullError(SpoolError):
    """The spool's byte bound is reached; nothing of the entry was kept."""


class SpoolSmallError(SpoolFullError):
    """The bound or the disk has no room for this, however empty the spool is."""


class SpoolClosedError(SpoolError):
    """The spool is shut down."""


class SpoolGoneError(SpoolError):
    """The spool's directory was removed; nothing more can be put there."""


class SpoolDamagedError(SpoolError):
    """Bytes on disk are not what was written."""


class ConversionError(ScorespanError):
    """A span or entry cannot become a payload record.

    Attributes:
        code: stable word for the reason, for counting and for filters.
        reason: one sentence for people; names the attribute or field.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class DeliveryError(ScorespanError):
    """The data mart was not reached or did not accept.

    Attributes:
        status: HTTP status of its answer; None where there was none.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class TokenError(DeliveryError):
    """No token could be had.

    Attributes:
        refused: true when the token service said no to the credentials (blocked until they are
            mended), false when it could not be reached or asked to come later.
        retry_after: seconds the token service asked to wait, if it did.
    """

    def __init__(self, message: str, *, refused: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.refused = refused
        self.retry_after = retry_after


class ReceiverError(ScorespanError):
    """An OTLP request is refused; nothing of it counts as taken.

    Attributes:
        status: HTTP status of the answer; gRPC has the code that OTLP gives the same meaning.
        reason: one sentence for the sender.
        retry_after: seconds after which the same request may come again; None: never as it is.
    """

    def __init__(self, status: int, reason: str, *, retry_after: int | None = None) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class MartError(ScorespanError):
    """A request to the self-hosted data mart is refused.

    Attributes:
        status: HTTP status of the answer.
        errors: what is wrong, one mapping for each fault, with `code` and `message` and, where
            they apply, `field`, `index` (of the record in the list) and `row`.
    """

    def __init__(self, status: int, errors: list[dict[str, object]]) -> None:
        super().__init__("; ".join(str(error.get("message")) for error in errors))
        self.status = status
        self.errors = errors
