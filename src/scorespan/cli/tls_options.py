"""The TLS options of a command that listens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def tls_options(command: _Command) -> _Command:
    """Give a command `--tls-cert` and `--tls-key`, as `certificate` and `certificate_key`."""
    return _certificate(_certificate_key(command))


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_certificate = click.option("--tls-cert", "certificate", type=_FILE, help="Certificate chain, PEM.")
_certificate_key = click.option(
    "--tls-key", "certificate_key", type=_FILE, help="Private key of the certificate, PEM."
)
