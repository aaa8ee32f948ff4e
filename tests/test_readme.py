"""The README tells the truth: its code runs, its table is the code's, its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from click import Group
from tests.readme import README, generated

from scorespan import attributes
from scorespan.cli.command import scorespan as command
from scorespan.settings import Settings, variable_name
from scorespan.testing import ScriptedMart

TEXT = README.read_text()


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_the_settings_table_is_the_code_s():
    """`make readme` has nothing to write."""
    assert generated(TEXT) == TEXT


def test_the_python_code_runs_and_ends_as_records(scripted_mart: ScriptedMart, tmp_path: Path):
    """All blocks together, as a user would run them, with the settings in the environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "SCORESPAN_DATA_MART_URL": scripted_mart.url,
        "SCORESPAN_DATA_MART_ID": scripted_mart.DATA_MART_ID,
        "SCORESPAN_API_KEY": scripted_mart.API_KEY,
        "SCORESPAN_SPOOL_DIR": str(tmp_path / "spool"),
    }
    code = "\n".join(blocks("python"))
    printed = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    decorated, managed = scripted_mart.stored.values()
    assert decorated["request"] == {"fields": ["age", "amount"], "values": [[41, 7200], [29, 900]]}
    assert decorated["response"]["values"] == [["Risk"], ["No Risk"]]
    assert decorated["scorespan"]["model"] == "credit-risk"
    assert managed["scorespan"]["client_id"] == "branch-7"
    assert printed.split() == ["['Risk',", "'No", "Risk']", managed["scoring_id"]]


def test_every_variable_in_the_text_is_a_setting():
    """No variable is written that the code does not know."""
    known = {variable_name(name) for name in Settings.__dataclass_fields__}
    assert set(re.findall(r"SCORESPAN_[A-Z_]+[A-Z]", TEXT)) <= known


def test_every_attribute_in_the_text_is_one():
    """The attribute table uses the names of `attributes.py`."""
    known = {value for value in vars(attributes).values() if isinstance(value, str)}
    assert set(re.findall(r"`(scoring\.[a-z_.]+)`", TEXT)) <= known


def test_every_command_is_in_the_text():
    """A command that nobody can find does not exist."""
    for name, found in command.commands.items():
        names = [f"{name} {sub}" for sub in found.commands] if isinstance(found, Group) else [name]
        assert all(f"scorespan {one}" in TEXT for one in names), names


def test_links_lead_to_files():
    """Every relative link names something in the repository."""
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("http") or (README.parent / target).exists(), target


def test_the_way_from_nothing_to_the_table(tmp_path: Path):
    """A mart with a subscription, three variables, the code, and `scorespan table`."""
    command = [sys.executable, "-m", "scorespan.cli"]
    started = [*command, "mart", "--subscription", "credit", "--port", "0", "--json"]
    environment = {
        "PATH": os.environ["PATH"],
        "XDG_STATE_HOME": str(tmp_path),
        "SCORESPAN_DATA_MART_ID": "00000000-0000-0000-0000-000000000000",
    }
    with subprocess.Popen(started, env=environment, stdout=subprocess.PIPE, text=True) as mart:
        try:
            said = json.loads(mart.stdout.readline())
            environment["SCORESPAN_DATA_MART_URL"] = said["url"]
            environment["SCORESPAN_API_KEY"] = Path(said["admin_key_file"]).read_text().strip()
            subprocess.run([sys.executable, "-c", blocks("python")[0]], env=environment, check=True)
            table = [*command, "table", "credit", "--json"]
            page = json.loads(subprocess.check_output(table, env=environment))
        finally:
            mart.terminate()
    assert page["total_count"] == 2
    assert [row[page["fields"].index("prediction")] for row in page["values"]] == [
        "Risk",
        "No Risk",
    ]
    assert "/scorespan-mart/admin.key" in TEXT
    assert Path(said["admin_key_file"]) == tmp_path / "scorespan-mart" / "admin.key"
