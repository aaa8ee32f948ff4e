"""Speed, side by side in one run: `python -m tests.benchmarks` (or `make bench`).

Absolute times move from machine to machine and from hour to hour; the ratios are what counts. Each
pair is measured in turns, and the median of the turns' ratios is shown; one that is above what it
must be is red. It fails nothing: a busy machine is no fault of the code.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from tests.benchmarks import caller, delivery, hooks, ingest, receiver, serving, spool
from tests.benchmarks.measure import Comparison

_WIDTH = 120


def main() -> None:
    """Run every comparison and print one table."""
    console = Console()
    console.width = max(console.width, _WIDTH)  # cut figures say nothing
    comparisons: list[Comparison] = []
    for bench in (caller, hooks, delivery, ingest, receiver):
        console.print(f"measuring: {bench.WHAT} ...")
        comparisons += bench.run()
    drawn = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("what", "ours", "against", "theirs", "ratio", "must", "goal"):
        drawn.add_column(name, justify="left" if name in {"what", "against"} else "right")
    for one in comparisons:
        drawn.add_row(
            one.what,
            f"{one.ours:.1f} us",
            one.against,
            f"{one.theirs:.1f} us",
            f"{one.ratio:.2f}",
            f"{one.must:.1f}",
            f"{one.goal:.1f}",
            style="" if one.ratio <= one.must else "red",
        )
    console.print(drawn)
    console.print(receiver_table())
    if serving.available():
        console.print(f"measuring: {serving.WHAT} ...")
        console.print(serving_table())
    else:
        console.print(f"not measured, because there is no {serving.PROGRAM} here: {serving.WHAT}")
    console.print(f"measuring: {spool.WHAT} ...")
    console.print(spool_table())
    found = spool.recovery()
    console.print(
        f"a backlog of {found.backlog / 1e9:.1f} GB: the first put after "
        f"{found.start * 1000:.0f} ms, all of it read at {found.scan_per_gb:.1f} s/GB"
    )


def receiver_table() -> Table:
    """The receiver: spans a second, and milliseconds of an answer at half of that load."""
    drawn = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("receiver", "spans/s per core", "goal", "spans/s", "p50 at half load", "p99"):
        drawn.add_column(name, justify="left" if name == "receiver" else "right")
    for rate in receiver.rates():
        drawn.add_row(
            f"{rate.workers} worker process" + "es" * (rate.workers > 1),
            f"{rate.per_core:,.0f}",
            f"{receiver.GOAL:,}",
            f"{rate.per_second:,.0f}",
            f"{rate.p50 * 1000:.1f} ms",
            f"{rate.p99 * 1000:.1f} ms",
        )
    return drawn


def serving_table() -> Table:
    """Services under load: milliseconds of an answer, without capture and with it."""
    drawn = Table(header_style="bold", box=None, pad_edge=False)
    for name in (
        "service, 1 KB",
        "asked by",
        "off",
        "p50",
        "p99",
        "on",
        "p50",
        "p99",
        "p50 ratio",
        "p99 ratio",
    ):
        drawn.add_column(name, justify="left" if name in {"service, 1 KB", "asked by"} else "right")
    for row in serving.rows():
        drawn.add_row(
            row.service,
            row.load,
            *(
                cell
                for load in (row.off, row.on)
                for cell in (
                    f"{load.per_second:,.0f}/s",
                    f"{load.p50 * 1000:.2f} ms",
                    f"{load.p99 * 1000:.2f} ms",
                )
            ),
            f"{row.p50_ratio:.2f}",
            f"{row.p99_ratio:.2f}",
        )
    return drawn


def spool_table() -> Table:
    """The spool beside SQLite: puts a second, and milliseconds that one takes."""
    drawn = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("1 KB records", "put by", "ours", "p50", "p99", "SQLite", "p50", "p99", "ratio"):
        drawn.add_column(name, justify="left" if name in {"1 KB records", "put by"} else "right")
    for row in spool.rows():
        drawn.add_row(
            row.policy,
            str(row.load),
            *(
                cell
                for rate in (row.ours, row.theirs)
                for cell in (
                    f"{rate.per_second:,.0f}/s",
                    f"{rate.p50 * 1000:.3f} ms",
                    f"{rate.p99 * 1000:.3f} ms",
                )
            ),
            f"{row.ours.per_second / row.theirs.per_second:.2f}",
        )
    return drawn


if __name__ == "__main__":
    main()
