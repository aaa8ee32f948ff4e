"""`scorespan spool show`: everything that is known of a letter, bodies included."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from scorespan.cli.letters import Scan, shown
from scorespan.cli.spool_root import find_root, root_option
from scorespan.conversion.span import ScoringSpan, decode
from scorespan.errors import SpoolDamagedError
from scorespan.letters import Selection, kind_of
from scorespan.spool.dead import WITHHELD, LetterFile

_LARGE = 256 * 1024
_SHOWN_OF_LARGE = 4096
_SHOWN_OF_BYTES = 1024
_LABEL = 18
_WIDTH = 100


@click.command()
@click.argument("name", metavar="ID")
@root_option
@click.option(
    "--raw",
    type=click.Choice(["request", "response", "entry"]),
    help="Write these bytes to standard output, exactly, and nothing else.",
)
def show(name: str, root: Path | None, raw: str | None) -> None:
    """Show the letters of a scoring, bodies included.

    ID is a scoring id or the name of a letter's file, as `scorespan spool list` tells it.
    """
    root = find_root(root)
    scan = Scan(root, Selection(names=frozenset([name])))
    if raw is None:
        for count, file in enumerate(scan):
            if count:
                click.echo()
            for line in _lines(file):
                click.echo(line)
    else:
        _write_raw(list(scan), raw)
    if not scan.counts:
        raise click.ClickException(f"there is no letter {name} in {root}")


def _write_raw(files: list[LetterFile], raw: str) -> None:
    if len(files) > 1:
        names = ", ".join(file.path.stem for file in files)
        raise click.UsageError(f"--raw needs one letter, and these match: {names}")
    for file in files:
        entry = _entry(file)
        body: bytes | memoryview | None = entry
        if raw != "entry":
            try:
                span = decode(entry)
            except SpoolDamagedError as error:
                raise click.ClickException(f"{error}; --raw entry writes what is there") from None
            body = span.request if raw == "request" else span.response
        if body is None:
            raise click.ClickException(f"the span has no {raw}")
        sys.stdout.buffer.write(body)


def _entry(file: LetterFile) -> bytes:
    try:
        return file.read_entry()
    except OSError as error:
        raise click.ClickException(f"{file.path}: {error.strerror}") from None


def _lines(file: LetterFile) -> Iterator[str]:
    head = file.head
    withheld = kind_of(file) == WITHHELD
    yield click.style("withheld record" if withheld else "dead letter", bold=True)
    yield from _known("reason", head.code)
    yield from _known("", head.reason)
    yield from _known("status", head.status)
    yield from _known("answer", head.answer)
    yield from _known("attempts", head.attempts)
    yield from _known("failed first", head.first_time)
    yield from _known("withheld" if withheld else "dead-lettered", head.time)
    yield from _known("route", ", ".join(head.route) if head.route else "not known")
    yield from _known("file", str(file.path))
    entry = _entry(file)
    try:
        span = decode(entry)
    except SpoolDamagedError as error:
        yield from _known("span", f"none can be read: {error}")
        yield from _body("entry", entry, None)
        return
    yield click.style("span", bold=True)
    for name, value in _fields(span):
        yield from _known(name, value)
    yield from _body("request", span.request, span.request_content_type)
    yield from _body("response", span.response, span.response_content_type)


def _fields(span: ScoringSpan) -> Iterator[tuple[str, Any]]:
    yield "scoring id", span.key
    for name, value in span._asdict().items():
        if name in {"request", "response", "scoring_id"} or value in {None, "", False}:
            continue
        label = name.replace("_", " ")
        if name in {"start_time", "end_time"}:
            yield label, _moment(value)
        elif isinstance(value, tuple):
            for item in value:
                yield label, item
                label = ""
        else:
            yield label, value


def _moment(nanoseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(nanoseconds // 10**9, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return f"{nanoseconds} ns"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 10**9:09d}Z"


def _known(label: str, value: object) -> Iterator[str]:
    """A label and its value, which may have several lines."""
    if value is None:
        return
    for line in str(value).splitlines() or [""]:
        yield f"  {label:<{_LABEL}}{shown(line)}".rstrip()
        label = ""


def _body(name: str, body: bytes | memoryview | None, content_type: str | None) -> Iterator[str]:
    if body is None:
        yield click.style(name, bold=True) + ": none"
        return
    size = len(body)
    said = f"{size:,} bytes" + (f", {shown(content_type)}" if content_type else "")
    if size > _LARGE:
        said += f"; the first {_SHOWN_OF_LARGE:,} of them, --raw {name} writes all"
        body = body[:_SHOWN_OF_LARGE]
    yield f"{click.style(name, bold=True)} ({said})"
    for line in readable(bytes(body), cut=size > _LARGE):
        yield f"  {shown(line)}"


def readable(body: bytes, *, cut: bool) -> Iterator[str]:
    """A body as JSON, else as text, else as hexadecimal digits."""
    try:
        text = body.decode("utf-8", "ignore" if cut else "strict")
    except UnicodeDecodeError:
        yield from _hexadecimal(body)
        return
    try:
        # Numbers keep their digits: `--raw` is exact, but this is what people look at.
        value = json.loads(text, parse_float=_Digits, parse_int=_Digits)
        yield from "".join(_pretty(value, 0)).split("\n")
    except (ValueError, RecursionError):
        yield from text.replace("\r\n", "\n").split("\n")


class _Digits(str):
    """A number as it was written."""

    __slots__ = ()


def _pretty(value: Any, indent: int) -> Iterator[str]:
    """JSON in pieces: what fits on a line stands on it."""
    flat = _flat(value)
    if len(flat) + indent <= _WIDTH or not isinstance(value, (dict, list)) or not value:
        yield flat
        return
    inner = "\n" + " " * (indent + 2)
    pairs = isinstance(value, dict)
    yield "{" if pairs else "["
    for count, item in enumerate(value):
        yield ("," if count else "") + inner
        if pairs:
            yield f"{json.dumps(item, ensure_ascii=False)}: "
        yield from _pretty(value[item] if pairs else item, indent + 2)
    yield "\n" + " " * indent + ("}" if pairs else "]")


def _flat(value: Any) -> str:
    if isinstance(value, _Digits):
        return str(value)
    if isinstance(value, dict):
        members = (
            f"{json.dumps(name, ensure_ascii=False)}: {_flat(one)}" for name, one in value.items()
        )
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flat, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _hexadecimal(body: bytes) -> Iterator[str]:
    for start in range(0, min(len(body), _SHOWN_OF_BYTES), 16):
        row = body[start : start + 16]
        text = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        yield f"{start:08x}  {row.hex(' '):<47}  {text}"
    if len(body) > _SHOWN_OF_BYTES:
        yield f"... {len(body) - _SHOWN_OF_BYTES:,} more bytes"
