"""The commands: what they print, and how they end."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from scorespan.cli.account import account_table
from scorespan.cli.command import scorespan
from scorespan.cli.table import payload_table
from scorespan.conversion.span import ScoringSpan, encode
from scorespan.reconcile import Account
from scorespan.spool.ledger import Ledger, LedgerItem
from scorespan.spool.root import Route, prepare_root
from scorespan.spool.spool import Spool


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A spool root where two records wait, in a directory whose process is gone, which was "p"."""
    root = tmp_path / "root"
    prepare_root(root)
    spool = Spool(root, Route("http://mart", "one"), max_bytes=10**9)
    for number in (1, 2):
        spool.put(
            encode(ScoringSpan(b"{}", producer_id="p", sequence=number, scoring_id=f"{number}"))
        )
    Ledger(root / "ledger", spool.name, route=spool.route, producer_id="p").close()
    spool.abandon()
    return root


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    result = CliRunner().invoke(scorespan, arguments)
    return result.exit_code, result.output


def test_help_names_every_command():
    """Each with its one line."""
    code, said = run("--help")
    assert code == 0
    assert all(f"\n  {name}" in said for name in ("demo", "mart", "spool", "table"))


def test_spool_status_shows_directories_and_the_account(root: Path):
    """For people: what waits, whose it is, and the terms."""
    code, said = run("spool", "status", "--dir", str(root))
    assert code == 0
    assert "gone" in said
    assert "http://mart" in said
    assert "+ waiting" in said


def test_spool_status_speaks_json(root: Path):
    """For machines: the same numbers."""
    code, said = run("spool", "status", "--dir", str(root), "--json")
    known = json.loads(said)
    assert code == 0
    assert (known["scored"], known["waiting"], known["missing"]) == (2, 2, 0)
    assert known["directories"][0]["alive"] is False


def test_spool_status_fails_when_a_number_is_missing(root: Path):
    """Exit code 1, and the name of the missing record."""
    segment = next(root.glob("w-*/*.segment"))
    segment.write_bytes(segment.read_bytes().replace(b'"p",1', b'"p",9'))
    code, said = run("spool", "status", "--dir", str(root))
    assert code == 1
    assert "missing: producer p, number 1" in said


def test_what_cannot_be_read_is_neither_fine_nor_missing(root: Path):
    """Exit code 2 and one sentence, without a traceback."""
    (root / "ledger" / "one.ledger").mkdir()
    code, said = run("spool", "status", "--dir", str(root))
    assert code == 2
    assert said.endswith("one.ledger: Is a directory\n")


def test_a_root_that_is_not_there_is_wrong_use(tmp_path: Path):
    """Exit code 2 and one sentence."""
    code, said = run("spool", "status", "--dir", str(tmp_path / "none"))
    assert code == 2
    assert "no spool root" in said


def test_table_needs_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without them, and without a mart of this machine, it is wrong use that names the first."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    code, said = run("table", "credit")
    assert code == 2
    assert "SCORESPAN_DATA_MART_URL" in said


def test_the_command_says_what_it_needs_where_its_extra_is_missing():
    """Without click there is one clear line, no traceback."""
    script = "import sys; sys.modules['click'] = None; from scorespan.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'scorespan[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("width", [20, 60, 80, 120, 400])
def test_the_payload_table_keeps_ids_and_answer_whatever_the_width(width: int):
    """Features give way first; what is left out is marked."""
    features = [f"feature {number}" for number in range(30)]
    answer = ["prediction", "probability", "prediction_probability"]
    fields = ["scoring_id", "scoring_timestamp", *features, *answer]
    row = ["a" * 48 + "-1", "2026-11-20T09:22:47.123456Z", *range(30), "benign", [0.1, 0.9], 0.9]
    drawn = payload_table(fields, [row], width)
    headers = [str(column.header) for column in drawn.columns]
    assert headers[:2] == ["scoring_id", "scoring_timestamp"]
    assert "…" in headers or "feature 29" in headers
    assert "prediction" in headers


def test_the_last_column_stands_though_features_are_wide():
    """Of the last three the widest gives way: here, those before the answer."""
    fields = ["scoring_id", "scoring_timestamp", *(f"feature of {n} words" for n in range(4)), "y"]
    row = ["a" * 48 + "-1", "2026-11-20T09:22:47.123456Z", 1, 2, 3, 4, "setosa"]
    drawn = payload_table(fields, [row], 80)
    headers = [str(column.header) for column in drawn.columns]
    assert headers == ["scoring_id", "scoring_timestamp", "…", "feature of 3 words", "y"]


def test_an_empty_payload_table_is_drawn():
    """No rows, no columns, no error."""
    assert payload_table(["scoring_id", "prediction"], [], 80).row_count == 0


def test_what_others_wrote_is_shown_and_not_obeyed(tmp_path: Path):
    """Neither markup nor control characters in ids and values reach the terminal as such."""
    console = Console(width=200, file=io.StringIO(), force_terminal=True)
    fields = ["scoring_id", "note [bold]"]
    console.print(payload_table(fields, [["[/z]", "[red]hi[/red] \x1b[2J"]], 200))
    item = LedgerItem("stored", "[/x]", "\x1b]0;", "p", 1, "id", 0)
    console.print(account_table(Account.of([item])))
    shown = console.file.getvalue()
    assert "[/z]" in shown
    assert "[red]hi[/red]" in shown
    assert "[/x]" in shown
    assert "\x1b[2J" not in shown
    assert "\x1b]0;" not in shown
