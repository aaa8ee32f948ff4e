"""The built wheel: what it installs, and what that does to processes of all kinds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from isolated.environments import CORE, ROOT, START_UP_FILES, built_wheel
from receiver.receiver_process import receiver_process
from running import clean_environment, run, wait_until

PINS = (
    *CORE,
    "opentelemetry-api==1.45.1",
    "opentelemetry-distro==0.66b1",
    "opentelemetry-exporter-otlp-proto-http==1.45.1",
    "opentelemetry-instrumentation==0.66b1",
    "opentelemetry-sdk==1.45.1",
    "opentelemetry-semantic-conventions==0.66b1",
    "starlette==1.10.0",
)
BUILD = (*CORE, "hatchling==1.27.0")
ON = {"SCORESPAN_ENABLE": "1"}
LOADED = (
    "import sys; print([name for name in sys.modules"
    " if name.split('.')[0] in ('opentelemetry', 'requests', 'orjson')])"
)
WATCHES = "import sys; print('scorespan.startup' in sys.modules)"
NO_EXPORTERS = {f"OTEL_{what}_EXPORTER": "none" for what in ("TRACES", "METRICS", "LOGS")}

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def wheel(make_environment):
    """An environment with the built wheel, Starlette, and OpenTelemetry's own start-up."""
    return make_environment("wheel", PINS, wheel=True)


def said(
    command: list[str | Path], environment: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """How a process ends, and what it says."""
    done = subprocess.run(
        list(map(str, command)),
        env={**clean_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout.strip(), done.stderr


def test_the_wheel_has_the_start_up_files_beside_the_package():
    """Where site-packages begins; pip removes them with the package."""
    with zipfile.ZipFile(built_wheel()) as archive:
        names = set(archive.namelist())
        record = archive.read("scorespan-0.1.0.dist-info/RECORD").decode()
        points = archive.read("scorespan-0.1.0.dist-info/entry_points.txt").decode()
        assert archive.read("scorespan.start") == b"scorespan.startup:start\n"
        assert len(archive.read("scorespan.pth").splitlines()) == 1
    assert names >= {path.name for path in START_UP_FILES}
    assert all(f"{path.name},sha256=" in record for path in START_UP_FILES)
    assert re.search(r"\[opentelemetry_instrumentor\]\nscorespan = ", points)


def test_the_source_archive_makes_the_same_wheel(make_environment, tmp_path):
    """Some build from it, and take no wheel."""
    python = make_environment("build", BUILD).python
    build = [python, "-m", "hatchling", "build", "-d"]
    run([*build, tmp_path, "-t", "sdist"], clean_environment(), cwd=ROOT)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as found:
        found.extractall(tmp_path, filter="data")
    run([*build, tmp_path, "-t", "wheel"], clean_environment(), cwd=tmp_path / archive.stem[:-4])
    (made,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(made) as one, zipfile.ZipFile(built_wheel()) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())


def test_an_editable_installation_starts_up_likewise(make_environment):
    """Developers of a service install it so."""
    python = make_environment("bare", CORE).python
    assert said([python, "-c", WATCHES], ON) == (0, "True", "")
    assert said([python, "-c", WATCHES]) == (0, "False", "")


def test_an_unconfigured_process_is_not_touched(wheel):
    """Nothing of ours is loaded, not even the package."""
    code = "import sys; print([name for name in sys.modules if 'scorespan' in name])"
    assert said([wheel.python, "-c", code]) == (0, "[]", "")
    assert said([wheel.python, "-c", code], {"SCORESPAN_ENABLE": ""}) == (0, "[]", "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["-c", LOADED], 0),
        (["-c", "import urllib.request, multiprocessing.util;" + LOADED], 0),
        (["-W", "error", "-c", LOADED], 0),
        (["-I", "-c", LOADED], 0),
        (["-c", LOADED + "; sys.exit(7)"], 7),
    ],
)
def test_an_unrelated_process_of_a_configured_service_is_not_touched(wheel, arguments, code):
    """What inherits its environment loads nothing heavy, says nothing, and ends as before."""
    assert said([wheel.python, *arguments], ON | {"SCORESPAN_STRICT": "1"}) == (code, "[]", "")


def test_pip_works_as_before(wheel):
    """Of all helpers the one that every image runs."""
    command = [wheel.python, "-m", "pip", "--disable-pip-version-check", "list"]
    before = said(command)
    assert before[0] == 0
    assert said(command, ON | {"SCORESPAN_STRICT": "1"}) == before


def test_the_start_up_file_works_in_isolated_mode_and_not_without_site(wheel):
    """`-I` drops what `PYTHONPATH` would start; `-S` drops every start-up file."""
    assert said([wheel.python, "-I", "-c", WATCHES], ON) == (0, "True", "")
    assert said([wheel.python, "-S", "-c", WATCHES], ON) == (0, "False", "")


def test_a_start_up_file_that_is_executed_twice_starts_once(wheel):
    """As in some environments that tools make."""
    code = (
        "import site, sys, pathlib, scorespan;"
        "folder = pathlib.Path(scorespan.__file__).parents[1];"
        "site.addpackage(str(folder), 'scorespan.pth', None);"
        "from scorespan.instrumentation import importing as i;"
        "print(sum(type(f).__name__ == '_Watcher' for f in sys.meta_path),"
        " {len(hooks) for hooks in i._hooks.values()})"
    )
    assert said([wheel.python, "-c", code], ON) == (0, "1 {1}", "")


def test_a_start_up_file_that_is_left_behind_is_harmless(wheel, tmp_path):
    """A folder that was copied, or half removed, must not make every Python complain."""
    with zipfile.ZipFile(built_wheel()) as archive:
        archive.extract("scorespan.pth", tmp_path)
    code = f"import site; site.addsitedir({str(tmp_path)!r}); print('well')"
    command = [sys.executable, "-I", "-S", "-c", code]
    assert said(command, ON) == (0, "well", "")


def test_what_the_next_python_starts_is_the_same_function(wheel):
    """Python 3.15 calls what `.start` names, in every process: it asks the environment itself."""
    code = (
        "from scorespan.startup import start; start(); import starlette.applications;"
        "from scorespan.instrumentation import importing; print(len(importing._hooks))"
    )
    assert said([wheel.python, "-c", code]) == (0, "0", "")
    status, out, err = said([wheel.python, "-c", code], ON)
    assert status == 0
    assert int(out) >= 10
    assert err.startswith("scorespan: payload logging is off: SCORESPAN_DATA_MART_URL")


SERVICE = "import starlette.applications as a; print(type(a.Starlette.__call__).__name__)"
IS_ON = SERVICE + "; from scorespan.instrumentation import switch; print(switch.is_on())"


@pytest.mark.parametrize("variables", [{}, {"SCORESPAN_ENABLE": "0"}])
def test_opentelemetrys_start_up_alone_switches_nothing_on(wheel, live, variables):
    """Silent and off without a setting of ours, or where one says so."""
    command = [wheel.script("opentelemetry-instrument"), wheel.python, "-c", IS_ON]
    environment = NO_EXPORTERS | variables
    if variables:
        environment = live.environment(**environment)
    assert said(command, environment) == (0, "function\nFalse", "")


def test_each_of_the_three_ways_switches_capture_on(wheel, live):
    """With the same settings, and without a word."""
    on = live.environment(**NO_EXPORTERS)
    expected = (0, "function\nTrue", "")
    assert said([wheel.python, "-c", IS_ON], on | ON) == expected
    instrumented = [wheel.script("opentelemetry-instrument"), wheel.python, "-c", IS_ON]
    assert said(instrumented, on) == expected
    assert said(instrumented, on | ON) == expected
    run_it = [sys.executable, "-m", "scorespan.cli", "run", wheel.python, "-c", IS_ON]
    assert said(run_it, on) == expected


def test_an_instrumentor_that_is_disabled_by_name_switches_nothing_on(wheel, live):
    """OpenTelemetry's own variable is honoured."""
    command = [wheel.script("opentelemetry-instrument"), wheel.python, "-c", IS_ON]
    for names in ("scorespan", "*"):
        environment = live.environment(**NO_EXPORTERS, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=names)
        assert said(command, environment) == (0, "function\nFalse", "")


def test_the_instrumentor_can_be_called_by_code_and_taken_back(wheel, live):
    """A service may list its instrumentors itself."""
    code = (
        "from importlib.metadata import entry_points;"
        "(point,) = entry_points(group='opentelemetry_instrumentor', name='scorespan');"
        "made = point.load()(); made.instrument();" + IS_ON + ";"
        "made.uninstrument(); print(switch.is_on(), list(made.instrumentation_dependencies()))"
    )
    done = said([wheel.python, "-c", code], live.environment())
    assert done == (0, "function\nTrue\nFalse []", "")


def test_the_instrumentor_works_where_opentelemetrys_start_up_is_missing(make_environment):
    """A base of our own takes its place."""
    code = (
        "from scorespan.instrumentation.instrumentor import ScorespanInstrumentor as I;"
        "made = I(); made.instrument(skip_dep_check=True); made.uninstrument(); print('well')"
    )
    python = make_environment("bare", CORE).python
    assert said([python, "-W", "error", "-c", code]) == (0, "well", "")


PROGRAM = Path(__file__).parent / "programs" / "unchanged.py"
SAYS = '{"fields":["p"],"values":[[1]]}'


def test_a_service_ends_as_the_same_rows_both_ways(wheel, live, tmp_path):
    """Its code unchanged: straight to the mart, and as spans to where a Collector would stand."""
    own = {"SCORESPAN_DEPLOYMENT_ID": "blue", "SCORESPAN_FEATURE_NAMES": "a"}
    assert said([wheel.python, PROGRAM], live.environment(**ON, **own)) == (0, SAYS, "")
    assert len(live.records()) == 1

    with receiver_process(live.environment(SCORESPAN_SPOOL_DIR=str(tmp_path / "own"))) as receiver:
        spans = {
            **ON,
            **own,
            "SCORESPAN_EXPORT": "otlp",
            "SCORESPAN_SUBSCRIPTION_ID": live.subscription_id,
            "SCORESPAN_BINDING_ID": "binding",
            "SCORESPAN_SHUTDOWN_SECONDS": "60",
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        }
        assert said([wheel.python, PROGRAM], spans) == (0, SAYS, "")
        wait_until(lambda: len(live.records()) == 2, "the second record is in the mart")
        receiver.end()
    assert not (tmp_path / "state").exists(), "spans wait in memory, in no spool"

    one, other = live.records()
    assert json.loads(one.request_text) == {"fields": ["a"], "values": [[1.5]]}
    assert json.loads(one.response_text) == {"fields": ["p"], "values": [[1]]}
    assert (one.request_text, one.response_text) == (other.request_text, other.response_text)
    differ = {"producer", "sequence", "service_instance_id", "span_id", "trace_id"}
    extras = [
        {name: value for name, value in record.scorespan.items() if name not in differ}
        for record in (one, other)
    ]
    assert extras[0] == extras[1]
    whole = json.loads(live._get("scoring_payloads"))["records"]
    assert [record["deployment_id"] for record in whole] == ["blue", "blue"]
    assert live.row_count() == 2
