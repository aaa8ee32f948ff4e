"""The pages of services that are captured as they are: what they say is so, as it is typed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from click import Group

from examples.live import EXAMPLES, ROOT
from running import clean_environment, run, started, wait_until
from scorespan.cli.command import scorespan as command
from scorespan.mart.place import ADMIN_KEY_FILE, DEFAULT_DATA_MART
from scorespan.settings import Settings, variable_name
from servers.serving import free_port

NAMES = ("fastapi_unchanged", "mlflow_model", "sagemaker_container")
PAGES = [EXAMPLES / name / "README.md" for name in NAMES]
FASTAPI = PAGES[0]


def typed(page: Path) -> list[list[str]]:
    """The commands of a page, block by block."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page.read_text(), re.MULTILINE)
    joined = (re.sub(r"\\\n", "", block) for block in blocks)
    return [[line.strip() for line in block.splitlines() if line.strip()] for block in joined]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_command_variable_and_link_of_a_page_is_there(page):
    """What a reader types exists, with its options; where a link leads is something."""
    text = page.read_text()
    known = {variable_name(name) for name in Settings.__dataclass_fields__}
    assert set(re.findall(r"SCORESPAN_[A-Z_]+[A-Z]", text)) <= known
    assert isinstance(command, Group)
    lines = [line for block in typed(page) for line in block if line.startswith("scorespan ")]
    assert {shlex.split(line)[1] for line in lines} == {"mart", "run", "table"}
    for line in lines:
        parts = shlex.split(line)
        taken = {option for known in command.commands[parts[1]].params for option in known.opts}
        assert parts[1] == "run" or {part for part in parts if part[:2] == "--"} <= taken, line
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target


def test_three_commands_and_a_fastapi_service_is_captured(tmp_path):
    """Install, data mart, service: the call of the page is a row then. Only ports differ here."""
    (install, mart, service), (call, table) = typed(FASTAPI)[:2]
    assert install.startswith("pip install ")
    scripts = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        **clean_environment(), "PATH": scripts, "SCORESPAN_SPOOL_DIR": str(tmp_path / "spool"),
    }  # fmt: skip
    data = tmp_path / "mart"
    mart = f"{mart.removesuffix('&')} --port 0 --json --data {data}"
    with started(shlex.split(mart), environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        environment |= {
            "SCORESPAN_DATA_MART_URL": json.loads(process.stdout.readline())["url"],
            "SCORESPAN_DATA_MART_ID": DEFAULT_DATA_MART,
            "SCORESPAN_API_KEY": (data / ADMIN_KEY_FILE).read_text(),
        }
        port = free_port()
        service = f"{service.removesuffix('&')} --port {port}"
        with started(shlex.split(service), environment, cwd=ROOT):
            wait_until(lambda: _is_up(f"http://127.0.0.1:{port}/health"), "the service")
            _, address, _, header, _, body = shlex.split(call)
            url = f"http://{address.replace('8000', str(port))}"
            headers = dict([header.split(": ")])
            (answer,) = requests.post(url, data=body, headers=headers, timeout=60).json()
            wait_until(lambda: _table(table, environment)["values"] != [], "the row")
            shown = _table(table, environment)
    assert answer == {"hours": 6.5, "late": False}
    (row,) = (dict(zip(shown["fields"], row, strict=True)) for row in shown["values"])
    scored = {"kilometres": 240, "kilograms": 5, "service": "express", **answer}
    assert scored.items() <= row.items()


def _table(line: str, environment: dict[str, str]) -> dict[str, Any]:
    """The payload table, as the command of the page has it."""
    table: dict[str, Any] = json.loads(run([*shlex.split(line), "--json"], environment).stdout)
    return table


def _is_up(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).status_code == 200
    except requests.RequestException:
        return False
