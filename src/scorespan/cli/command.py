"""The `scorespan` command group."""

from __future__ import annotations

from typing import Any

import click

import scorespan as package
from scorespan.cli.demo import demo
from scorespan.cli.mart import mart
from scorespan.cli.performance import performance
from scorespan.cli.receive import receive
from scorespan.cli.reconcile import reconcile
from scorespan.cli.run import run
from scorespan.cli.spool import spool
from scorespan.cli.table import table


class _Commands(click.Group):
    """Commands that end with 130 where they are interrupted: 1 is an answer, and a bad one."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package.__version__, prog_name="scorespan")
def scorespan() -> None:
    """Payload logging for machine-learning models over OpenTelemetry."""


for _command in (demo, mart, performance, receive, reconcile, run, spool, table):
    scorespan.add_command(_command)
