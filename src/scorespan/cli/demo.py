"""`scorespan demo`: the main job, end to end, and the account of it."""

from __future__ import annotations

import contextlib
import json
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

if TYPE_CHECKING:
    from scorespan.delivery.client import MartClient
    from scorespan.demo.client import Counted
    from scorespan.demo.processes import Engine
    from scorespan.reconcile import Account
    from scorespan.settings import Settings

_DELIVERY_SECONDS = 30.0


@click.command()
@click.option("--keep", is_flag=True, help="Leave mart and engine running until Ctrl-C.")
@click.option("--kill", is_flag=True, help="SIGKILL the engine half-way and start it again.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON line.")
def demo(keep: bool, kill: bool, as_json: bool) -> None:
    """Train a model, serve it, score 569 patients, and account for every record.

    Exits with 0 only if the data mart holds exactly what the client saw scored.
    """
    try:
        import sklearn  # noqa: F401 - asked for before anything is started
        import uvicorn  # noqa: F401 - the data mart's
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is missing; the demo needs: pip install 'scorespan[demo]'"
        ) from None
    from scorespan.errors import ScorespanError

    console = Console(quiet=as_json)
    try:
        with (
            _interruptible(),
            tempfile.TemporaryDirectory(prefix="scorespan-demo-") as folder,
        ):
            agrees = _run(Path(folder), console, keep=keep, kill=kill, as_json=as_json)
    except ScorespanError as error:
        raise click.ClickException(str(error)) from None
    if not agrees:
        raise SystemExit(1)


def _run(folder: Path, console: Console, *, keep: bool, kill: bool, as_json: bool) -> bool:
    from scorespan.delivery.client import MartClient
    from scorespan.demo.processes import SUBSCRIPTION_ID, Engine, register, start_mart, stop
    from scorespan.reconcile import stored_ids

    spool = folder / "spool"
    with contextlib.ExitStack() as stack:
        mart, settings = start_mart(folder / "mart")
        stack.callback(stop, mart)
        console.print(f"data mart at {settings.data_mart_url}, on SQLite")
        fields, rows = _data()
        client = MartClient(settings)
        register(client, fields)
        console.print("training a random forest on 569 patients, and serving it over HTTP ...")
        engine = Engine(settings, spool)
        stack.callback(engine.stop)
        console.print(f"engine at http://127.0.0.1:{engine.port()}/score")
        started = time.perf_counter()
        counted = _score(engine, fields, rows, console, kill=kill)
        seconds = time.perf_counter() - started
        account = _settled_account(spool, len(counted.ids), console)
        in_mart = set(stored_ids(client, SUBSCRIPTION_ID))
        outcome = _outcome(counted, account, in_mart, seconds)
        if as_json:
            click.echo(json.dumps(outcome))
        else:
            _print(console, client, outcome, account, kill=kill)
        if keep:
            _wait(console, settings, engine, folder)
    return bool(outcome["agrees"])


def _data() -> tuple[list[str], list[list[float]]]:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return [str(name) for name in data.feature_names], data.data.tolist()


def _score(
    engine: Engine, fields: list[str], rows: list[list[float]], console: Console, *, kill: bool
) -> Counted:
    from scorespan.demo.client import requests_of, score_all

    requests = list(requests_of(fields, rows))
    half = len(requests) // 2
    killed = False
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("scoring", total=len(requests))

        def advance(answers: int) -> None:
            nonlocal killed
            progress.update(task, completed=answers)
            if kill and not killed and answers >= half:
                killed = True
                progress.console.print(f"SIGKILL to the engine after {answers} answers")
                engine.kill()

        return score_all(engine.port, requests, advance)


def _settled_account(spool: Path, expected: int, console: Console) -> Account:
    """The account, once nothing waits any more or the patience has ended."""
    from scorespan.reconcile import read_account

    deadline = time.monotonic() + _DELIVERY_SECONDS
    with console.status("delivering"):
        while True:
            account = read_account(spool)
            settled = len(account.items) - account.totals["waiting"]
            if settled >= expected or time.monotonic() > deadline:
                return account
            time.sleep(0.1)


def _outcome(
    counted: Counted, account: Account, in_mart: set[str], seconds: float
) -> dict[str, Any]:
    """What the client saw against what the data mart holds: sets of ids, not totals."""
    lost = counted.ids - in_mart
    # A scoring whose answer the kill cut off was scored all the same: the mart may know more than
    # the client, but no more than there were such requests.
    unanswered = in_mart - counted.ids
    agrees = (
        not lost
        and len(unanswered) <= counted.cut_off
        and account.ids("stored") == in_mart
        and account.missing_count <= counted.cut_off
        and account.totals["waiting"] == 0
    )
    return {
        "agrees": agrees,
        "answered": len(counted.answered),
        "failed": len(counted.failed),
        "rows": counted.rows,
        "cut_off": counted.cut_off,
        "stored": len(in_mart),
        "lost": sorted(lost),
        "unanswered": len(unanswered),
        "seconds": round(seconds, 2),
        "account": {"scored": account.scored, **account.totals, "missing": account.missing_count},
    }


def _print(
    console: Console,
    client: MartClient,
    outcome: dict[str, Any],
    account: Account,
    *,
    kill: bool,
) -> None:
    from scorespan.cli.account import account_table
    from scorespan.cli.plain import plain
    from scorespan.cli.table import payload_table
    from scorespan.demo.processes import SUBSCRIPTION_ID

    page = client.get(
        "/scoring_transactions",
        subscription_id=SUBSCRIPTION_ID,
        limit=5,
        include_total_count="true",
    )
    console.print(f"\n[bold]payload table[/bold] (5 of {page['total_count']} rows)")
    console.print(payload_table(page["fields"], page["values"], console.width))
    records = _records(client, SUBSCRIPTION_ID)
    times = sorted(record["response_time"] for record in records)
    cuts = statistics.quantiles(times, n=100)
    requests = outcome["answered"] + outcome["failed"]
    console.print(
        f"\nresponse time: median {cuts[49]:.0f} ms, 95 % {cuts[94]:.0f} ms, "
        f"99 % {cuts[98]:.0f} ms, longest {times[-1]} ms"
    )
    console.print(
        f"requests: {requests} in {outcome['seconds']:.1f} s, "
        f"{requests / outcome['seconds']:.0f} per second; {outcome['failed']} failed"
    )
    failed = next((record for record in records if record["response"] is None), None)
    if failed is not None:
        error = failed["scorespan"]["error"]
        console.print(plain(f"a failed one: {error['type']}: {error['message']}"))
    if kill:
        console.print(
            f"{outcome['cut_off']} requests were cut off by the kill and sent again; "
            f"{outcome['unanswered']} of them had been scored before"
        )
    console.print("\n[bold]account[/bold] (records)")
    console.print(account_table(account))
    if outcome["agrees"]:
        console.print(
            f"\n[green]complete[/green]: all {requests} scoring ids that the client saw "
            f"are in the data mart, {'and nothing else' if not kill else 'none is missing'}"
        )
    else:
        console.print(f"\n[red]not complete[/red]: {json.dumps(outcome)}")


def _records(client: MartClient, subscription_id: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    after = None
    while True:
        page = client.get(
            "/scoring_payloads", subscription_id=subscription_id, limit=1000, after=after
        )
        records += page["records"]
        after = page["after"]
        if after is None:
            return records


def _wait(console: Console, settings: Settings, engine: Engine, folder: Path) -> None:
    key = folder / "mart" / "admin.key"
    console.print(
        f"\nstill running: engine http://127.0.0.1:{engine.port()}/score, data mart "
        f"{settings.data_mart_url}\n\n"
        f"export SCORESPAN_DATA_MART_URL={settings.data_mart_url}\n"
        f"export SCORESPAN_DATA_MART_ID={settings.data_mart_id}\n"
        f"export SCORESPAN_API_KEY=$(cat {key})\n"
        f"scorespan table {settings.subscription_id}\n"
        f"scorespan spool status --dir {folder / 'spool'}\n\nCtrl-C ends",
        soft_wrap=True,
        highlight=False,
    )
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, so that nothing is left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
