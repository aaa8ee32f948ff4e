"""The members of a payload record, by name, in every tolerated form."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import Annotated, Any

import msgspec

from scorespan.mart.body import DEEPEST, nested_deeper, too_deep
from scorespan.mart.faults import Fault, fault
from scorespan.mart.timestamp import utc_text
from scorespan.record import GENERIC_DEPLOYMENT, MAX_SCORING_ID

LARGEST_INTEGER = 2**63 - 1
ABSENT = msgspec.Raw(b"null")

_NUMERIC_TEXT = re.compile(r"\s*[0-9]{1,19}(?:\.[0-9]*)?\s*")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RecordError(Exception):
    """One record is refused; carries the fault, which lacks the record's index."""

    def __init__(self, found: Fault) -> None:
        super().__init__(found["message"])
        self.fault = found


class Members(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The members as our own sending side writes them; `members_of` brings others to this form."""

    subscription_id: str
    scoring_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SCORING_ID)]
    scoring_timestamp: str
    request: msgspec.Raw
    response: msgspec.Raw
    binding_id: str | None = None
    deployment_id: Annotated[str, msgspec.Meta(min_length=1)] = GENERIC_DEPLOYMENT
    response_time: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_INTEGER)] | None = None
    scorespan: msgspec.Raw = ABSENT


def members_of(element: msgspec.Raw, now: datetime) -> tuple[Members, dict[str, msgspec.Raw]]:
    """The known members of one list element, and the others as they came.

    Raises:
        RecordError: the element is no object, or a member is missing or of the wrong type.
    """
    if nested_deeper(bytes(element), DEEPEST - 1):
        raise RecordError(too_deep())
    try:
        found = _object.decode(element)
    except msgspec.ValidationError:
        message = "a payload record must be a JSON object"
        raise RecordError(fault("wrong_type", message)) from None
    if "request" not in found:
        raise RecordError(fault("missing_member", "the record has no request", field="request"))
    members = Members(
        subscription_id=_subscription(found.pop("subscription_id", ABSENT)),
        scoring_id=_scoring_id(found.pop("scoring_id", ABSENT)),
        scoring_timestamp=_text(found, "scoring_timestamp") or utc_text(now),
        request=found.pop("request"),
        response=found.pop("response", ABSENT),
        binding_id=_text(found, "binding_id"),
        deployment_id=_text(found, "deployment_id") or GENERIC_DEPLOYMENT,
        response_time=_response_time(found.pop("response_time", ABSENT)),
        scorespan=found.pop("scorespan", ABSENT),
    )
    return members, found


def _value(raw: msgspec.Raw, field: str) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        raise _wrong_type(field, "a number within range") from None


def _wrong_type(field: str, wanted: str) -> RecordError:
    return RecordError(fault("wrong_type", f"{field} must be {wanted}", field=field))


def _text(found: dict[str, msgspec.Raw], field: str) -> str | None:
    value = _value(found.pop(field, ABSENT), field)
    if value is None or isinstance(value, str):
        return value
    raise _wrong_type(field, "a string")


def _subscription(raw: msgspec.Raw) -> str:
    value = _value(raw, "subscription_id")
    if value is None:
        message = "the record has no subscription_id"
        raise RecordError(fault("missing_member", message, field="subscription_id"))
    if isinstance(value, str):
        return value
    raise _wrong_type("subscription_id", "a string")


def _scoring_id(raw: msgspec.Raw) -> str:
    value = _value(raw, "scoring_id")
    if value is None:
        return str(uuid.uuid4())
    if not isinstance(value, str):
        raise _wrong_type("scoring_id", "a string")
    if not 1 <= len(value) <= MAX_SCORING_ID:
        message = f"scoring_id must have 1 to {MAX_SCORING_ID} characters"
        raise RecordError(fault("scoring_id_length", message, field="scoring_id"))
    return value


def _response_time(raw: msgspec.Raw) -> int | None:
    value = _value(raw, "response_time")
    if type(value) is str and _NUMERIC_TEXT.fullmatch(value):
        value = float(value) if "." in value else int(value)
    if value is None:
        return None
    if type(value) in {int, float} and 0 <= value <= LARGEST_INTEGER:
        return int(min(round(value), LARGEST_INTEGER))
    raise _wrong_type("response_time", "milliseconds, as a number or its text")
