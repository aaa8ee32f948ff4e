"""A corpus of awkward bodies: each arrives to the byte, or is a dead letter that says why."""

from __future__ import annotations

import codecs
import json
from typing import NamedTuple

import pytest

from scorespan import attributes
from scorespan.conversion.attribute_values import resource_values, scoring_span
from scorespan.conversion.convert import convert
from scorespan.conversion.span import OPAQUE_BYTES, decode, encode
from scorespan.errors import ConversionError
from scorespan.record import PayloadRecord

OWN = ("scoring", "a" * 32, "b" * 16, 1, 2, False, None, None)


class Case(NamedTuple):
    """A request, and the code of the reason why it cannot be a record; None where it can be one."""

    name: str
    request: str | bytes
    code: str | None
    response: str = '{"fields": ["p"], "values": [[0]]}'


def table(cell: str) -> str:
    """A request of one row and one column."""
    return '{"fields": ["a"], "values": [[' + cell + "]]}"


def rows(count: int) -> str:
    """A request of so many rows."""
    return '{"fields": ["a"], "values": [' + ", ".join(["[1]"] * count) + "]}"


LARGE = "x" * OPAQUE_BYTES

CORPUS = [
    Case("plain", table("1"), None),
    Case("spaces and order", ' {"values":[[ 1.10 ]] , "fields":["a"]}\n', None),
    Case("a lone surrogate", table('"\ud800"'), "invalid_json"),
    Case("a lone surrogate, escaped", table('"\\ud800"'), "invalid_json"),
    Case("a pair of surrogates, escaped", table('"\\ud83d\\ude00"'), None),
    Case("a NUL", table('"\0"'), "invalid_json"),
    Case("a NUL, escaped", table('"\\u0000"'), None),
    Case("invalid UTF-8", table('"?"').encode().replace(b"?", b"\xff\xfe"), "invalid_json"),
    Case("an overlong UTF-8", table('"?"').encode().replace(b"?", b"\xc0\x80"), "invalid_json"),
    Case("NaN", table("NaN"), "invalid_json"),
    Case("infinity", table("-Infinity"), "invalid_json"),
    Case("5,000 deep", table("[" * 5000 + "]" * 5000), "invalid_json"),
    Case("100,000 deep", "[" * 100_000, "invalid_json"),
    Case("1,000,000 deep objects", '{"a":' * 1_000_000, "invalid_json"),
    Case("10,000 rows", rows(10_000), None, rows(10_000)),
    Case("a number of 5,000 digits", table("1" * 5000), "invalid_json"),
    Case("nothing", "", "invalid_json"),
    Case("cut", table("1")[:-4], "invalid_json"),
    Case("a byte order mark", "\ufeff" + table("1"), None),
    Case("large", table(f'"{LARGE}"'), None),
    Case("large and cut", table(f'"{LARGE}'), "invalid_json"),
    Case("large and 5,000 deep", table("[" * 5000 + "]" * 5000 + f', "{LARGE}"'), None),
    Case("large and 1,000,000 deep", '{"a":' * 1_000_000 + LARGE, "invalid_json"),
    Case("large, and breaks out", '{"a": "' + LARGE + '"}, "scoring_id": "x"', "invalid_json"),
]


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_a_body_arrives_to_the_byte_or_is_a_dead_letter_with_its_reason(case: Case):
    """From the attribute on a span, through the entry, to the text of the post."""
    found = {attributes.REQUEST: case.request, attributes.RESPONSE: case.response}
    resource = resource_values({attributes.SUBSCRIPTION_ID: "s"})
    span = decode(b"".join(encode(scoring_span(found, OWN, resource))))
    text = case.request
    exact = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    assert span.request == exact
    exact = exact.removeprefix(codecs.BOM_UTF8)  # within a post it would be no JSON
    outcome = convert(span)
    if case.code is not None:
        assert isinstance(outcome, ConversionError)
        assert outcome.code == case.code
        assert "request" in outcome.reason
        return
    assert isinstance(outcome, PayloadRecord), outcome
    response = case.response.encode()
    assert outcome.opaque == (len(exact) + len(response) > OPAQUE_BYTES)
    pieces = outcome.wire_pieces(extras=True)
    assert (pieces[1], pieces[3]) == (exact, response)
    wire = b"".join(pieces)
    assert not outcome.opaque or "not checked" in str(outcome.extras["notes"])
    if "deep" not in case.name:
        (record,) = json.loads(wire)
        assert record["scoring_id"] == "a" * 32 + "b" * 16
        assert record["request"] == json.loads(exact)
        (same,) = json.loads(b"[" + outcome.wire(extras=True) + b"]")
        assert same == record
