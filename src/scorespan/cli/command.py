"""The `scorespan` command group."""

from __future__ import annotations

import click

import scorespan as package
from scorespan.cli.demo import demo
from scorespan.cli.mart import mart
from scorespan.cli.reconcile import reconcile
from scorespan.cli.spool import spool
from scorespan.cli.table import table


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package.__version__, prog_name="scorespan")
def scorespan() -> None:
    """Payload logging for machine-learning models over OpenTelemetry."""


for _command in (demo, mart, reconcile, spool, table):
    scorespan.add_command(_command)
