"""`scorespan spool export`: letters as JSON lines, for machines and auditors."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from scorespan.cli.letters import Scan, counted, counting, filters
from scorespan.cli.spool_root import find_root, root_option
from scorespan.conversion.span import decode
from scorespan.errors import SpoolDamagedError
from scorespan.letters import Selection, describe
from scorespan.spool.dead import LetterFile


@click.command("export")
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@root_option
@filters
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def export_letters(target: Path, root: Path | None, selection: Selection, force: bool) -> None:
    """Write letters to FILE as JSON lines, bodies included; - is standard output.

    Each line is an object: what is known of the letter, the `span`, `request` and `response`. What
    is no UTF-8 text is base64, and the member `..._encoding` beside it says so. A letter that holds
    no span any more has `entry` instead, and `problem` says why. FILE is readable by its owner
    alone, and never replaced without --force.
    """
    scan = Scan(find_root(root), selection)
    gone = 0  # requeued meanwhile
    with _opened(target, force=force) as file, counting("exported", quiet=False) as progress:
        for letter in scan:
            try:
                entry = letter.read_entry()
            except FileNotFoundError:
                gone += 1
                continue
            except OSError as error:
                raise click.ClickException(f"{letter.path}: {error.strerror}") from None
            file.write(json.dumps(_line(letter, entry), ensure_ascii=False).encode() + b"\n")
            progress()
    click.echo(f"{counted(scan.counts.total() - gone, 'letters')} exported", err=True)
    for complaint in scan.complaints():
        click.echo(complaint, err=True)


@contextlib.contextmanager
def _opened(target: Path, *, force: bool) -> Iterator[BinaryIO]:
    """The file to write; it gets its name when all is in it, and nothing stays after a fault."""
    if str(target) == "-":
        yield sys.stdout.buffer
        return
    hidden = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            if force:
                hidden.replace(target)
            else:
                # Unlike a rename it fails where the name is taken.
                os.link(hidden, target)
        finally:
            hidden.unlink(missing_ok=True)
    except FileExistsError:
        raise click.UsageError(f"{target} is there already; --force replaces it") from None
    except OSError as error:
        raise click.ClickException(f"{target}: {error.strerror}") from None


def _line(file: LetterFile, entry: bytes) -> dict[str, Any]:
    known = describe(file)
    try:
        span = decode(entry)
    except SpoolDamagedError as error:
        return {**known, "span": None, "problem": str(error), **_member("entry", entry)}
    fields = span._asdict()
    del fields["request"], fields["response"]
    bodies = {**_member("request", span.request), **_member("response", span.response)}
    return {**known, "span": fields, **bodies}


def _member(name: str, body: bytes | memoryview | None) -> dict[str, str | None]:
    encoding: str | None = None
    text: str | None = None
    if body is not None:
        try:
            text, encoding = str(body, "utf-8"), "utf-8"
        except UnicodeDecodeError:
            text, encoding = base64.b64encode(body).decode(), "base64"
    return {name: text, f"{name}_encoding": encoding}
