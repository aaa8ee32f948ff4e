"""Wire messages of OTLP traces, as far as they are read.

Our own descriptors, wire-compatible with OTLP's trace, common and resource messages: they declare
only what is read. Two things differ on purpose. Text is `bytes`: one text that is no UTF-8 would
make a whole message unreadable, and bodies go on as they are. And whatever must not share its
neighbour's damage (a span, an attribute, an event, a resource) is `bytes` too, read by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "scorespan.otlp"
_TYPES = {
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,  # an enumeration has the same wire form
    "int64": _Field.TYPE_INT64,
    "double": _Field.TYPE_DOUBLE,
    "fixed64": _Field.TYPE_FIXED64,
}
_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}
"""Kinds of fields on the wire; of those of fixed size, how many bytes."""
_MOST_DIGITS = 10
_NO_FIELD = 0, memoryview(b"")
_ONE_OF = "AnyValue"
"""The message whose fields exclude one another."""

# By message: number, name and type of each field; a star stands for repeated.
_MESSAGES: dict[str, tuple[tuple[int, str, str], ...]] = {
    "Request": ((1, "resource_spans", "*ResourceSpans"),),
    "ResourceSpans": ((1, "resource", "*bytes"), (2, "scope_spans", "*ScopeSpans")),
    "ScopeSpans": ((2, "spans", "*Span"),),
    "Resource": ((1, "attributes", "*bytes"),),
    "Span": (
        (1, "trace_id", "bytes"),
        (2, "span_id", "bytes"),
        (5, "name", "bytes"),
        (7, "start_time", "fixed64"),
        (8, "end_time", "fixed64"),
        (9, "attributes", "*bytes"),
        (11, "events", "*bytes"),
        (15, "status", "bytes"),
    ),
    "Event": ((2, "name", "bytes"), (3, "attributes", "*bytes")),
    "Status": ((2, "message", "bytes"), (3, "code", "int32")),
    "KeyValue": ((1, "key", "bytes"), (2, "value", "AnyValue")),
    "AnyValue": (
        (1, "string_value", "bytes"),
        (2, "bool_value", "bool"),
        (3, "int_value", "int64"),
        (4, "double_value", "double"),
        (5, "array_value", "ArrayValue"),
        (6, "kvlist_value", "KeyValueList"),
        (7, "bytes_value", "bytes"),
    ),
    "ArrayValue": ((1, "values", "*AnyValue"),),
    "KeyValueList": ((1, "values", "*KeyValue"),),
}


class ScopeSpans(Protocol):
    """The spans of one instrumentation scope."""

    spans: Sequence[Span]


class ResourceSpans(Protocol):
    """The spans of one resource. A resource that came in parts is whole when they are joined."""

    resource: Sequence[bytes]
    scope_spans: Sequence[ScopeSpans]


class Request(Protocol):
    """An ExportTraceServiceRequest."""

    resource_spans: Sequence[ResourceSpans]


class Resource(Protocol):
    """A resource; its attributes in wire form."""

    attributes: Sequence[bytes]


class Span(Protocol):
    """A span; times in nanoseconds since the epoch, what it holds in wire form."""

    trace_id: bytes
    span_id: bytes
    name: bytes
    start_time: int
    end_time: int
    attributes: Sequence[bytes]
    events: Sequence[bytes]
    status: bytes


class Event(Protocol):
    """An event of a span; its attributes in wire form."""

    name: bytes
    attributes: Sequence[bytes]


class Status(Protocol):
    """The status of a span; 2 is an error."""

    message: bytes
    code: int


class AnyValue(Protocol):
    """A value; `WhichOneof("value")` names the field that it has, None: none."""

    def WhichOneof(self, group: str) -> str | None: ...  # noqa: N802, D102 - protobuf's name


class KeyValue(Protocol):
    """An attribute."""

    key: bytes
    value: AnyValue


def _classes() -> dict[str, Any]:
    """A class for each message. In a pool of their own they meet no other package's."""
    file = descriptor_pb2.FileDescriptorProto(
        name="scorespan/otlp.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name == _ONE_OF:
            message.oneof_decl.add(name="value")
        for number, field_name, kind in fields:
            field = message.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
            if kind.startswith("*"):
                field.label = _Field.LABEL_REPEATED
            if name == _ONE_OF:
                field.oneof_index = 0
            one = kind.removeprefix("*")
            if one in _TYPES:
                field.type = _TYPES[one]
            else:
                field.type = _Field.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{one}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_made = _classes()

# Each reads one message from its wire form, and raises DecodeError where the bytes are none.
request: Callable[[bytes], Request] = _made["Request"].FromString
resource: Callable[[bytes], Resource] = _made["Resource"].FromString
span: Callable[[bytes], Span] = _made["Span"].FromString
event: Callable[[bytes], Event] = _made["Event"].FromString
status: Callable[[bytes], Status] = _made["Status"].FromString
key_value: Callable[[bytes], KeyValue] = _made["KeyValue"].FromString


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and value of each field of a message that is text, bytes or a message, in order.

    Any other field is 0 and nothing. What a parser makes of very many small fields takes many times
    their bytes; this takes none.

    Raises:
        DecodeError: these bytes are no message.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = message[at], at + 1
        if tag > 127:  # one digit is nearly all there are, and a call takes longer than they do
            tag, at = _number(message, at - 1)
        kind = tag & 7
        if kind == _LENGTH:
            size, at = _number(message, at)
            yield tag >> 3, message[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _number(message, at)
            yield _NO_FIELD
        elif kind in _FIXED:
            at += _FIXED[kind]
            yield _NO_FIELD
        else:
            raise DecodeError("a field of a kind that OTLP does not have")
    if at > end:
        raise DecodeError("the message ends too early")


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """A number in protobuf's form, and where it ends."""
    number = shift = 0
    for digit in message[at : at + _MOST_DIGITS]:
        number |= (digit & 127) << shift
        at += 1
        if digit < 128:
            return number, at
        shift += 7
    raise DecodeError("a number does not end")
