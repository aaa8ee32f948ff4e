"""Opaque bodies: nobody parses them, and none leaves its place in the record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan import dialects
from scorespan.dialects import opaque
from scorespan.dialects.opaque import fault_of
from scorespan.errors import ConversionError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


def fault(text: bytes) -> str | None:
    """What is found in a text; the same wherever its chunks begin."""
    whole = fault_of(memoryview(text))
    size, found = opaque._CHUNK, set()
    try:
        for opaque._CHUNK in (4, 5, 7):
            found.add(fault_of(memoryview(text)))
    finally:
        opaque._CHUNK = size
    assert {one is None for one in found} == {whole is None}
    return whole


@given(st.dictionaries(st.text(), values, max_size=5), st.booleans(), st.sampled_from([None, 2]))
def test_every_json_object_passes(document: dict[str, Any], ascii_only: bool, indent: int | None):
    """Strings with brackets, quotes and backslashes confuse nobody."""
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    assert fault(b" \n" + text.encode("utf-8", "surrogatepass") + b"\t") is None


@given(st.text(alphabet='{}[]",:\\ a1', max_size=40))
def test_what_passes_cannot_end_the_record_that_it_is_sent_in(inner: str):
    """Spliced in between two members, it leaves a reader both, or no document at all."""
    text = ("{" + inner + "}").encode()
    if fault(text) is not None:
        return
    try:
        found = json.loads(b'[{"id": 1, "request": ' + text + b', "last": 2}]')
    except ValueError:
        return
    assert len(found) == 1
    assert set(found[0]) == {"id", "request", "last"}
    assert (found[0]["id"], found[0]["last"]) == (1, 2)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"a": 1}, "scoring_id": {}',
        b'{}}, {"scoring_id": "other", "request": {}',
        b'{"a": "cut}',
        b'{"a": [1, 2}',
        b'{"a": 1}{"b": 2}',
        b'{"a": "\\"}',
        b'{"a": [}]}',
        b"{" + b"[" * 600_000 + b"]" * 600_000 + b"}",
    ],
    ids=lambda text: repr(text[:40]),
)
def test_what_is_not_one_whole_object_says_so(text: bytes):
    """A body that was cut, or that would break out."""
    assert fault_of(memoryview(text)) is not None


TABLE = memoryview(b'{"fields": ["a"], "values": [[1]]}')


@pytest.mark.parametrize("name", [None, "fields_values"])
def test_any_dialect_that_keeps_texts_takes_opaque_bodies(name: str | None):
    """The bodies are the very views that came, and a note says that nobody checked them."""
    bodies = dialects.read_opaque(name, TABLE, TABLE)
    assert isinstance(bodies, dialects.DialectBodies)
    assert bodies.request is TABLE
    assert bodies.response is TABLE
    assert bodies.rows is None
    assert bodies.notes == ("bodies: 68 bytes, not checked",)


def test_where_no_dialect_is_named_large_tables_are_found_by_their_keys():
    """`fields` and `values` may stand far from each other, and in both bodies."""
    space = b" " * 300_000
    for split in range(299_990, 300_000):
        far = memoryview(b'{"values": [[1]],' + space[:split] + b'"fields": ["a"]}')
        bodies = dialects.read_opaque(None, far, None)
        assert isinstance(bodies, dialects.DialectBodies)
        assert bodies.request is far
    bodies = dialects.read_opaque(None, TABLE, memoryview(b'{"a": 1}'))
    assert isinstance(bodies, dialects.DialectBodies)
    assert bodies.dialect == "text"


@given(
    text=st.binary() | st.text().map(str.encode), name=st.sampled_from([None, "objects", "text"])
)
def test_large_bodies_that_are_no_tables_are_texts(text: bytes, name: str | None):
    """They are one row of one column each, to the last character."""
    bodies = dialects.read_opaque(name, memoryview(text), memoryview(text), tables=False)
    assert isinstance(bodies, dialects.DialectBodies)
    assert bodies.response is not None
    shown = text.decode(errors="backslashreplace")
    request = {"fields": ["scoring_input"], "values": [[shown]]}
    assert json.loads(bytes(bodies.request)) == request
    assert json.loads(bytes(bodies.response)) == {"fields": ["prediction"], "values": [[shown]]}
    assert bodies.rows == 1
    assert "not parsed; kept as text" in bodies.notes[0]


def test_a_large_text_is_the_same_over_the_bounds_of_its_parts():
    """Characters and escapes may stand across two parts."""
    text = ('ä"' * 200_000 + "€").encode()
    bodies = dialects.read_opaque("text", memoryview(text), None)
    assert isinstance(bodies, dialects.DialectBodies)
    assert json.loads(bytes(bodies.request))["values"] == [[text.decode()]]


def test_a_dialect_that_is_not_there_is_the_same_error_for_large_bodies():
    """The name is looked at first."""
    error = dialects.read_opaque("nothing", memoryview(b"{}"), None)
    assert isinstance(error, ConversionError)
    assert error.code == "unknown_dialect"
