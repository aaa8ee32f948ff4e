"""`scorespan receive`: take OTLP from a Collector or an application, deliver payload records."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from scorespan.cli.tls_options import tls_options
from scorespan.endpoint import Endpoint
from scorespan.errors import ScorespanError, SettingsError
from scorespan.settings import Settings, variable_name
from scorespan.spool.root import default_root, prepare_root

_TOKEN = variable_name("receiver_token")
_SHORTEST_TOKEN = 16


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--http-port",
    type=click.IntRange(0, 65535),
    default=4318,
    show_default=True,
    help="Port for OTLP/HTTP; 0 takes any free one.",
)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    default=4317,
    show_default=True,
    help="Port for OTLP/gRPC; 0 takes any free one.",
)
@click.option("--no-grpc", is_flag=True, help="OTLP/HTTP only.")
@tls_options
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the bearer token that senders must show, instead of SCORESPAN_RECEIVER_TOKEN; "
    "of several, each on its own line, any.",
)
@click.option("--insecure", is_flag=True, help="Off loopback, do without TLS or token.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that take requests.",
)
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one JSON line.")
def receive(  # noqa: PLR0913, PLR0917 - one for each option
    host: str,
    http_port: int,
    grpc_port: int,
    no_grpc: bool,
    certificate: Path | None,
    certificate_key: Path | None,
    token_file: Path | None,
    insecure: bool,
    workers: int,
    as_json: bool,
) -> None:
    """Receive scoring spans over OTLP until it is interrupted, and deliver them to a data mart.

    A request is answered with success when its records are on disk. Data mart and spool are set by
    the SCORESPAN_* variables. Off loopback the receiver needs a certificate and a token, or
    --insecure.

    OTLP/HTTP is POST /v1/traces; GET /healthz says whether a process lives, GET /readyz whether it
    takes requests.
    """
    try:
        from scorespan.receiver.diagnostics import say_on_stderr
        from scorespan.receiver.plan import Doors
        from scorespan.receiver.server import serve
        from scorespan.receiver.workers import serve_by_workers
    except ImportError as error:
        message = f"{error.name} is missing; install scorespan[receiver]"
        raise click.ClickException(message) from None
    if http_port == grpc_port != 0 and not no_grpc:
        raise click.UsageError("--grpc-port: the port is that of OTLP/HTTP")
    http = Endpoint(host, http_port, certificate, certificate_key)
    grpc = None if no_grpc else Endpoint(host, grpc_port, certificate, certificate_key)
    try:
        http.check(insecure=insecure)
        settings = _settings(token_file)
        _check(settings, host if not (http.is_loopback or insecure) else None)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    say_on_stderr()

    def say(doors: Doors) -> None:
        addresses = {
            "http": doors.http.url,
            "grpc": None if doors.grpc is None else doors.grpc.address,
        }
        if as_json:
            click.echo(json.dumps(addresses))
        else:
            click.echo(f"OTLP/HTTP at {addresses['http']}")
            if doors.grpc is not None:
                click.echo(f"OTLP/gRPC at {addresses['grpc']}")

    code = 0
    try:
        if workers == 1:
            serve(settings, Doors(http, grpc), say)
        else:
            code = serve_by_workers(workers, settings, Doors(http, grpc), say)
    except (OSError, ScorespanError) as error:
        raise click.ClickException(f"the receiver cannot start: {error}") from None
    sys.exit(code)


def _settings(token_file: Path | None) -> Settings:
    """The settings of a receiver; a token in a file wins over the environment's.

    Raises:
        SettingsError: one is wrong.
    """
    if token_file is None:
        return _checked(Settings.load({"sync": "durable"}))
    try:
        token = token_file.read_text(encoding="utf-8", errors="replace")
        return _checked(Settings.load({"sync": "durable", "receiver_token": token}))
    except OSError as error:
        raise SettingsError("--token-file", f"{token_file}: {error.strerror}") from None
    except SettingsError as error:
        if error.variable != _TOKEN:
            raise
        problem = str(error).removeprefix(f"{_TOKEN}: ")
        raise SettingsError("--token-file", problem) from None


def _checked(settings: Settings) -> Settings:
    token = settings.receiver_token
    if token is not None and any(len(one) < _SHORTEST_TOKEN for one in token.reveal().split()):
        message = f"a token has {_SHORTEST_TOKEN} characters or more, without blanks and commas"
        raise SettingsError(_TOKEN, message)
    return settings


def _check(settings: Settings, exposed: str | None) -> None:
    """Check what a receiver needs before it starts.

    Args:
        settings: all of them.
        exposed: the host off loopback where senders have to show a token; None: they need not.

    Raises:
        SettingsError: one is missing, or cannot be used.
    """
    from scorespan.receiver.memory import LEAST_SPOOL_BYTES

    settings.check_delivery()
    if settings.receiver_token is None and exposed is not None:
        message = f"{exposed} is not loopback: set it, or give --token-file or --insecure"
        raise SettingsError(_TOKEN, message)
    if settings.spool_max_bytes < LEAST_SPOOL_BYTES:
        message = f"must be {LEAST_SPOOL_BYTES} or more for a receiver: one request may need it"
        raise SettingsError(variable_name("spool_max_bytes"), message)
    prepare_root(settings.spool_dir or default_root())
