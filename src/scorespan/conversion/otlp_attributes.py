"""Attributes of OTLP in their wire form.

Nearly all come in the one form that every encoder writes: the key, then a text, and nothing behind
it. Those are read by their bytes, and what is the same for many spans only once; whatever has
another form goes through protobuf's own parser.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from scorespan import attributes as names_of
from scorespan.conversion import otlp_wire as wire
from scorespan.conversion.attribute_values import (
    BODIES,
    INTEGERS,
    NAMES,
    OF_RESOURCE,
    TEXTS,
)
from scorespan.conversion.otlp_reading import WrongError
from scorespan.conversion.span import OPAQUE_BYTES

_SHORT = 128
"""Bytes of an attribute that may be the same for many spans."""
_REMEMBERED = 512
"""How much of one request is remembered."""
_VARYING = {names_of.ID, names_of.TIMESTAMP}
"""Texts that are another for each span."""
_STARTS = {bytes((0x0A, len(name))) + name.encode(): name for name in NAMES}
"""How an attribute begins: field 1, the key's length, the key."""
KEYS = {name.encode(): name for name in NAMES}
"""The attributes that are read, by the UTF-8 of their names."""
_PLACES = {**BODIES, **TEXTS, **INTEGERS}
_IN_EVERY_KEY = b"scoring."
_INTEGER_HEADS = {3 + digits: bytes((0x12, 1 + digits, 0x18)) for digits in range(1, 10)}
"""What stands before a whole number in an attribute's value, by the size of both together."""
_TOO_LARGE = f"an array or map of more than {OPAQUE_BYTES} bytes"
"""In memory it would take many times as many."""
_TEXT, _BYTES = 0x0A, 0x3A
_NOWHERE = b"\x00"


class Seen:
    """What attributes of a request have shown: most spans of a service say nearly the same.

    Attributes:
        values: places and values of short attributes, by their bytes.
        heads: place of a body, and what stands before its text, by the length of the attribute.
        numbers: the same of a whole number.
    """

    __slots__ = ("heads", "numbers", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, tuple[int, str | bytes]] = {}
        self.heads: dict[int, tuple[int, bytes]] = {}
        self.numbers: dict[int, tuple[int, bytes]] = {}


def read_attributes(attributes: Iterable[bytes], values: list[Any], seen: Seen) -> dict[str, Any]:
    """Read a span's attributes into their places among values; what has none is returned.

    Args:
        attributes: in wire form.
        values: in the order of ScoringSpan's fields, as `attribute_values.filled` takes them.
        seen: of this request.

    Raises:
        DecodeError: an attribute that is read is damaged.
        WrongError: one is too large to be read.
    """
    found: dict[str, Any] = {}
    known, heads, numbers = seen.values, seen.heads, seen.numbers
    for attribute in attributes:
        length = len(attribute)
        if length <= _SHORT:
            if attribute in known:
                place, value = known[attribute]
                values[place] = value
                continue
            if length in numbers:
                place, head = numbers[length]
                if attribute.startswith(head):
                    number = _number(attribute[len(head) :])
                    if number is not None:
                        values[place] = number
                        continue
        elif length in heads:
            place, head = heads[length]
            if attribute.startswith(head):
                values[place] = attribute[len(head) :]
                continue
        _read_attribute(attribute, values, found, seen)
    return found


def repeated(found: Iterable[str], values: list[Any]) -> bool:
    """Whether an attribute may be both among those found and in its place: the span has it twice.

    Args:
        found: what `read_attributes` returned.
        values: what it put into their places, beside what the resource has put there.
    """
    return any(
        name in _PLACES and (values[_PLACES[name]] is not None or name in OF_RESOURCE)
        for name in found
    )


def _read_attribute(attribute: bytes, values: list[Any], found: dict[str, Any], seen: Seen) -> None:
    """Read an attribute that has not been seen yet, and remember what may come again."""
    length = len(attribute)
    start = attribute[1] + 2 if length > 1 else 0
    name = _STARTS.get(attribute[:start])
    head = _INTEGER_HEADS.get(length - start)
    if name in INTEGERS and head is not None and attribute.startswith(head, start):
        start += len(head)
        number = _number(attribute[start:])
        if number is not None:
            values[INTEGERS[name]] = number
            seen.numbers[length] = INTEGERS[name], attribute[:start]
            return
    if name in BODIES:
        for tag in (_TEXT, _BYTES):
            head = _head(tag, length - start)
            if attribute.startswith(head, start):
                _read_body(attribute, start + len(head), BODIES[name], values, seen)
                return
    elif name is not None:
        head = _head(_TEXT, length - start)
        if attribute.startswith(head, start):
            value = _text(attribute[start + len(head) :])
            if name not in TEXTS or type(value) is not str:
                found[name] = value
                return
            values[TEXTS[name]] = value
            if length <= _SHORT and name not in _VARYING and len(seen.values) < _REMEMBERED:
                seen.values[attribute] = TEXTS[name], value
            return
    _read_otherwise(attribute, found)


def _read_body(attribute: bytes, start: int, place: int, values: list[Any], seen: Seen) -> None:
    """Take a body as it is; what stands before it comes again, and so may a short one."""
    body = values[place] = attribute[start:]
    if len(attribute) > _SHORT:
        if len(seen.heads) < _REMEMBERED:
            seen.heads[len(attribute)] = place, attribute[:start]
    elif len(seen.values) < _REMEMBERED:
        seen.values[attribute] = place, body


def _number(digits: bytes) -> int | None:
    """The whole number from 0 on that all of these bytes are; None: they are something else."""
    number, shift = 0, 0
    for digit in digits:
        number |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            break
    return number if shift == 7 * len(digits) and digit < 128 else None


def attributes_named(attributes: Iterable[bytes], names: Mapping[bytes, str]) -> dict[str, Any]:
    """Values of those attributes that have one of these names.

    Args:
        attributes: in wire form.
        names: each by its UTF-8.

    Raises:
        DecodeError: one of them is damaged.
        WrongError: one of them is too large to be read.
    """
    found: dict[str, Any] = {}
    for attribute in attributes:
        if any(key in attribute for key in names):
            if len(attribute) > OPAQUE_BYTES:
                raise WrongError(_TOO_LARGE)
            pair = wire.key_value(attribute)
            if pair.key in names:
                found[names[pair.key]] = _value(pair.value)
    return found


def _read_otherwise(attribute: bytes, found: dict[str, Any]) -> None:
    """Read an attribute of whatever form into those found, if it is one that is read.

    Raises:
        WrongError: its value is too large for that.
    """
    if len(attribute) > OPAQUE_BYTES:
        if any(start in attribute[:_SHORT] for start in _STARTS):
            raise WrongError(_TOO_LARGE)
        return
    if _IN_EVERY_KEY not in attribute:
        return
    pair = wire.key_value(attribute)
    name = KEYS.get(pair.key)
    if name is not None:
        found[name] = _value(pair.value)


@functools.lru_cache(maxsize=4096)
def _head(tag: int, size: int) -> bytes:
    """What stands before a text or bytes in an attribute's value, both together of this size.

    Where none makes that size, it is bytes that stand nowhere in an attribute.

    Args:
        tag: how the one of the two begins in an AnyValue.
        size: bytes from the end of the key on.
    """
    for digits in range(1, 6):
        for outer_digits in (digits, digits + 1):
            length = size - 2 - digits - outer_digits
            if length >= 0:
                inner = bytes((tag,)) + _varint(length)
                head = b"\x12" + _varint(len(inner) + length) + inner
                if len(head) + length == size:
                    return head
    return _NOWHERE


def _varint(number: int) -> bytes:
    """A number in protobuf's form: seven bits a byte, the lowest first."""
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes((*digits, number))


def _text(raw: bytes) -> str | bytes:
    """A text; as bytes, which no attribute but a body may have, where it is no UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _value(value: wire.AnyValue, *, inner: bool = False) -> Any:
    """A value in Python's own types, as the SDK has it; its depth is bounded by protobuf."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    held = getattr(value, kind)
    if kind == "string_value":
        # Inside a body, what is no UTF-8 stays visible in the JSON that is made of it.
        return held.decode("utf-8", "surrogateescape") if inner else _text(held)
    if kind == "array_value":
        return tuple([_value(item, inner=True) for item in held.values])
    if kind == "kvlist_value":
        return {
            pair.key.decode("utf-8", "surrogateescape"): _value(pair.value, inner=True)
            for pair in held.values
        }
    return held
