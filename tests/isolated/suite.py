"""The project's tests, run by the pytest of another environment."""

from __future__ import annotations

import re

from isolated.environments import ROOT, Environment
from running import clean_environment, run

CORE_TESTS = (
    "conversion",
    "delivery",
    "dialects",
    "instrumentation/test_asgi_hook.py",
    "instrumentation/test_exchange.py",
    "instrumentation/test_guard.py",
    "instrumentation/test_hooks_change_nothing.py",
    "instrumentation/test_importing.py",
    "instrumentation/test_kept_body.py",
    "instrumentation/test_log_records.py",
    "instrumentation/test_paths.py",
    "instrumentation/test_printed.py",
    "instrumentation/test_prints.py",
    "instrumentation/test_reading.py",
    "instrumentation/test_requests_hook.py",
    "instrumentation/test_sending.py",
    "instrumentation/test_switch.py",
    "instrumentation/test_wsgi_hook.py",
    "instrumentation/test_urllib_hook.py",
    "spool",
    "test_attributes.py",
    "test_bodies.py",
    "test_dependencies.py",
    "test_intake.py",
    "test_limits.py",
    "test_otlp.py",
    "test_outbox.py",
    "test_producer.py",
    "test_reconcile.py",
    "test_record.py",
    "test_scoring.py",
    "test_sdk.py",
    "test_settings.py",
    "test_telemetry.py",
)
"""What needs nothing but scorespan's own dependencies, but for the next ones."""

BEYOND_CORE = (
    "delivery/test_client.py",
    "delivery/test_large.py",
    "delivery/test_network.py",
    "delivery/test_once.py",
    "delivery/test_stop.py",
    "delivery/test_subscription_switch.py",
    "delivery/test_switched_off.py",
)
"""What needs the data mart, or certificates of its own."""


def run_tests(environment: Environment, *names: str) -> int:
    """Run those of these tests that exist, all of which must pass; returns how many did.

    What they said is shown where one fails. Four at a time: most of them wait for processes and
    sockets.
    """
    command = [environment.python, "-m", "pytest", "-n", "4", "--rootdir", ROOT]
    tests = [path for name in names if (path := ROOT / "tests" / name).exists()]
    command += [f"--ignore={ROOT / 'tests' / name}" for name in BEYOND_CORE]
    done = run([*command, "-c", ROOT / "pyproject.toml", *tests], clean_environment(), timeout=600)
    (passed,) = re.findall(r"\b(\d+) passed", done.stdout.splitlines()[-1])
    return int(passed)
