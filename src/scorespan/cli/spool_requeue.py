"""`scorespan spool requeue`: letters back into the spool, as they are or mended."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from scorespan.cli.letters import Scan, counted, counting, filters, shown
from scorespan.cli.spool_root import find_root, root_option
from scorespan.conversion.span import decode
from scorespan.errors import SettingsError, SpoolDamagedError
from scorespan.letters import FOLDERS, Selection, names_of
from scorespan.requeue import NO_ROUTE, Edit, Requeued, requeue
from scorespan.setting_values import different_names
from scorespan.spool.dead import DEAD, LetterFile
from scorespan.spool.root import Route, directories, is_owned, prepare_root, route_of


def _columns(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """The names of an option, read as the setting of that name is."""
    try:
        return None if value is None else different_names(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("requeue")
@click.argument("names", nargs=-1, metavar="[ID]...")
@root_option
@filters
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
@click.option("--request", type=click.File("rb"), help="The new request; - is standard input.")
@click.option("--response", type=click.File("rb"), help="The new response; - is standard input.")
@click.option(
    "--set-subscription",
    "subscription_id",
    metavar="ID",
    help="The subscription it goes to instead.",
)
@click.option("--set-binding", "binding_id", metavar="ID", help="The binding it names instead.")
@click.option(
    "--set-deployment", "deployment_id", metavar="ID", help="The deployment it names instead."
)
@click.option("--set-dialect", "dialect", metavar="NAME", help="The dialect it is read as instead.")
@click.option(
    "--set-feature-names",
    "feature_names",
    metavar="NAMES",
    callback=_columns,
    help="The columns of requests that name none, with commas between.",
)
@click.option(
    "--set-prediction-fields",
    "prediction_fields",
    metavar="NAMES",
    callback=_columns,
    help="The columns of responses, with commas between.",
)
@click.option(
    "--route-from-settings",
    is_flag=True,
    help="Send them to the data mart of the SCORESPAN_* variables, not to their own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def requeue_letters(  # noqa: PLR0913, PLR0917 - one for each option
    names: tuple[str, ...],
    root: Path | None,
    selection: Selection,
    everything: bool,
    request: BinaryIO | None,
    response: BinaryIO | None,
    subscription_id: str | None,
    binding_id: str | None,
    deployment_id: str | None,
    dialect: str | None,
    feature_names: tuple[str, ...] | None,
    prediction_fields: tuple[str, ...] | None,
    route_from_settings: bool,
    as_json: bool,
) -> None:
    """Put letters back into the spool, to be delivered once more.

    ID is a scoring id or the name of a letter's file. Without IDs the filters choose, and --all
    takes every dead letter; withheld records only come along by ID or with --withheld, as the data
    mart that has no place for them would have none now. A new request or response needs exactly
    one letter. What is changed is noted on the record.

    Exits with 1 when a letter that was asked for could not be requeued.
    """
    root = find_root(root)
    try:
        # A directory of another user's could be adopted by none of the processes that run here.
        prepare_root(root)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    selection = _widened(selection, names, everything=everything)
    edit = Edit(
        request.read() if request else None,
        response.read() if response else None,
        _not_empty("--set-subscription", subscription_id),
        _not_empty("--set-binding", binding_id),
        _not_empty("--set-deployment", deployment_id),
        _not_empty("--set-dialect", dialect),
        feature_names,
        prediction_fields,
    )
    route = _route_of_settings() if route_from_settings else None
    scan = Scan(root, selection)
    unseen = set(names)
    letters = _seen(scan, unseen)
    if edit.request is not None or edit.response is not None:
        letters = iter([_only(letters, edit)])
    try:
        with counting("requeued", quiet=as_json) as progress:
            done = requeue(root, letters, route=route, edit=edit, progress=progress)
    except OSError as error:
        reason = f"the spool cannot be written: {error.strerror}; what was not requeued is kept"
        raise click.ClickException(reason) from None
    _report(root, done, sorted(unseen), scan, as_json=as_json)
    if done.refused or unseen:
        raise SystemExit(1)


def _widened(selection: Selection, names: tuple[str, ...], *, everything: bool) -> Selection:
    """The selection with the IDs in it; it is wrong use where nothing chooses at all."""
    filtered = selection._replace(folders=FOLDERS) != Selection()
    if not names and not filtered and not everything and selection.folders == FOLDERS:
        raise click.UsageError("name letters by ID, by a filter, or take --all")
    if everything and (names or filtered):
        raise click.UsageError("--all takes no ID and no filter beside it")
    if names:
        return selection._replace(names=selection.names | set(names))
    if selection.names or selection.folders != FOLDERS:
        return selection
    return selection._replace(folders=(DEAD,))


def _not_empty(option: str, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.UsageError(f"{option}: must not be empty")
    return value


def _route_of_settings() -> Route:
    from scorespan.settings import Settings, variable_name

    try:
        settings = Settings.load()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    if settings.data_mart_url is None or settings.data_mart_id is None:
        name = "data_mart_url" if settings.data_mart_url is None else "data_mart_id"
        raise click.UsageError(f"--route-from-settings: {variable_name(name)} is required")
    return Route(settings.data_mart_url, settings.data_mart_id, settings.api_version)


def _seen(scan: Scan, unseen: set[str]) -> Iterator[LetterFile]:
    for file in scan:
        unseen -= names_of(file)
        yield file


def _only(letters: Iterator[LetterFile], edit: Edit) -> LetterFile:
    """The one letter that gets new bodies, which must be JSON where the old ones were to be."""
    found = list(itertools.islice(letters, 2))
    if len(found) != 1:
        count = "more than one matches" if found else "none matches"
        raise click.UsageError(f"--request and --response need exactly one letter; {count}")
    try:
        span = decode(found[0].read_entry())
    except (OSError, SpoolDamagedError):
        return found[0]  # refused by the requeue, with the reason
    for option, body, content_type in (
        ("--request", edit.request, span.request_content_type),
        ("--response", edit.response, span.response_content_type),
    ):
        if body is not None and "json" in (content_type or "json"):
            _check_json(option, body)
    return found[0]


def _check_json(option: str, body: bytes) -> None:
    try:
        # Digits of any number are fine; NaN and infinity are no JSON.
        json.loads(body.decode(), parse_int=len, parse_float=len, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{option}: not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise click.UsageError(f"{option}: nested too deep") from None
    except ValueError as error:
        raise click.UsageError(f"{option}: no valid JSON: {error}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _report(root: Path, done: Requeued, unseen: list[str], scan: Scan, *, as_json: bool) -> None:
    refused = [(f"{path.parent.name}/{path.name}", reason) for path, reason in done.refused]
    refused += [(name, "there is no such letter") for name in unseen]
    if as_json:
        known = {
            "requeued": done.counts.total(),
            "routes": [{"route": list(route), "count": n} for route, n in done.counts.items()],
            "refused": [{"letter": name, "reason": reason} for name, reason in refused],
        }
        click.echo(json.dumps(known))
        return
    for route, count in done.counts.items():
        alive = any(is_owned(one) and route_of(one) == route for one in directories(root))
        who = "a running process delivers" if alive else "the next process there delivers"
        place = shown(f"{route.url} (data mart {route.data_mart_id})")
        click.echo(f"{counted(count, 'records')} requeued to {place}: {who} them")
    if not done.counts:
        click.echo("nothing was requeued")
    for name, reason in refused:
        click.echo(f"not requeued: {shown(name)}: {shown(reason)}", err=True)
    if any(reason == NO_ROUTE for _, reason in done.refused):
        click.echo("--route-from-settings says where those go that do not say it", err=True)
    for complaint in scan.complaints():
        click.echo(complaint, err=True)
