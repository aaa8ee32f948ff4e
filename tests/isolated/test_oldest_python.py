"""The oldest Python that scorespan supports, where the machine has it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from isolated.environments import CORE, TOOLS
from isolated.suite import CORE_TESTS, run_tests

OLDEST = "3.10"
# The newest of each that still takes Python 3.10.
PINS = (
    *CORE,
    *TOOLS,
    "alembic==1.20.1",
    "click==8.5.1",
    "cryptography==50.0.2",
    "fastapi==0.162.5",
    "httpx==0.28.1",
    "msgspec==0.22.0",
    "opentelemetry-api==1.45.1",
    "opentelemetry-exporter-otlp-proto-http==1.45.1",
    "opentelemetry-sdk==1.45.1",
    "pyjwt==2.15.1",
    "rich==15.0.0",
    "sqlalchemy==2.0.57",
    "uvicorn==0.54.0",
)

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def python():
    """The oldest Python. A command of that name may be a stand-in that starts nothing."""
    found = shutil.which(f"python{OLDEST}")
    if found is None:
        pytest.skip(f"there is no python{OLDEST} on the path")
    asked = subprocess.run(
        [found, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.stdout.strip() != OLDEST:
        pytest.skip(f"the python{OLDEST} on the path does not start")
    return found


def test_core_and_mart_pass_their_tests_on_the_oldest_python(make_environment, python):
    """The tests of the core and of the data mart must pass on the oldest Python."""
    environment = make_environment(f"python{OLDEST}", PINS, python=python)
    assert run_tests(environment, *CORE_TESTS, "mart") >= 900
