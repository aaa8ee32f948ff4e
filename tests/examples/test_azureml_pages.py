"""The pages of the Azure ML example name only what there is."""

from __future__ import annotations

import re
import sys

import pytest
from click import Group

from examples.live import EXAMPLES
from running import clean_environment, run
from scorespan.cli.command import scorespan as command
from scorespan.settings import Settings, variable_name

FOLDER = EXAMPLES / "azureml_score"
PAGES = sorted(FOLDER.glob("*.md"))


def test_the_script_says_nothing_of_us():
    """It is what anybody deploys."""
    assert "scorespan" not in (FOLDER / "score.py").read_text().lower()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_variable_and_link_is_there(page):
    """What a reader types exists, with its options; where a link leads is something."""
    text = page.read_text()
    known = {variable_name(name) for name in Settings.__dataclass_fields__}
    assert set(re.findall(r"SCORESPAN_[A-Z_]+[A-Z]", text)) <= known
    assert isinstance(command, Group)
    called = re.findall(r"\bscorespan ([a-z]+)((?: --?[a-z-]+| [a-z0-9]+-?[a-z0-9]*)*)", text)
    commands = [(name, options) for name, options in called if name in command.commands]
    assert {"table", "performance"} <= {name for name, _ in commands}
    for name, options in commands:
        taken = {option for parameter in command.commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", options)) <= taken, (name, options)
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (FOLDER / target).exists(), target


def test_the_script_runs_as_the_server_calls_it():
    """Good rows are priced; what goes wrong is printed with the time, and its text the answer."""
    code = (
        "import score; score.init(); "
        "print(score.run('{\"data\": [[100, 4]]}')); print(repr(score.run('{}')))"
    )
    model = FOLDER / "models" / "house-prices" / "3"
    environment = {
        **clean_environment(), "AZUREML_MODEL_DIR": str(model), "PYTHONPATH": str(FOLDER),
    }  # fmt: skip
    done = run([sys.executable, "-c", code], environment)
    clock = r"\d\d:\d\d:\d\d"
    assert re.fullmatch(
        rf"model initialized{clock}\n"
        r'\{"input": "\{\\"data\\": \[\[100, 4\]\]\}", "output": \[280000.0\]\}\n'
        rf"\[280000.0\]\n'data'{clock}\n\"'data'\"\n",
        done.stdout,
    )
