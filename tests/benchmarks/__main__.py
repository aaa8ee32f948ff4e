"""Speed, side by side in one run: `python -m tests.benchmarks` (or `make bench`).

Absolute times move from machine to machine and from hour to hour; the ratios are what counts. Each
pair is measured in turns, and the median of the turns' ratios is shown; one that is above what it
must be is red. It fails nothing: a busy machine is no fault of the code.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from tests.benchmarks import caller, delivery, ingest
from tests.benchmarks.measure import Comparison


def main() -> None:
    """Run every comparison and print one table."""
    console = Console()
    comparisons: list[Comparison] = []
    for bench in (caller, delivery, ingest):
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


if __name__ == "__main__":
    main()
