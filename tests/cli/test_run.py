"""`scorespan run`."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time

import pytest

from running import clean_environment, started
from scorespan.mart.place import DEFAULT_DATA_MART

RUN = [sys.executable, "-m", "scorespan.cli", "run"]
MART = {
    "SCORESPAN_DATA_MART_URL": "http://127.0.0.1:1",
    "SCORESPAN_DATA_MART_ID": "mart",
    "SCORESPAN_API_KEY": "key",
}
SHOWS = (
    "import json, os, sys; ours = {n: v for n, v in os.environ.items() if 'SCORESPAN' in n};"
    "print(json.dumps([os.getpid(), sys.argv[1:], ours]))"
)


def run(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """How the command ends."""
    return subprocess.run(
        [*RUN, *map(str, arguments)],
        env={**clean_environment(), **(MART if environment is None else environment)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_command_takes_the_place_of_the_process_with_its_own_options():
    """The same process id, the options untouched, and capture switched on; nothing is said."""
    options = ["--subscription", "theirs", "-h", "--port=1", "--", "-x", "two words", ""]
    command = [*RUN, sys.executable, "-c", SHOWS, *options]
    environment = {**clean_environment(), **MART}
    with started(command, environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    process_id, arguments, ours = json.loads(out)
    assert process_id == process.pid
    assert arguments == options
    assert ours == {**MART, "SCORESPAN_ENABLE": "1"}


def test_the_subscription_can_be_named():
    """It wins over the environment's."""
    environment = MART | {"SCORESPAN_SUBSCRIPTION_ID": "other", "SCORESPAN_ENABLE": "0"}
    done = run("--subscription", "credit", sys.executable, "-c", SHOWS, environment=environment)
    ours = json.loads(done.stdout)[2]
    assert ours["SCORESPAN_SUBSCRIPTION_ID"] == "credit"
    assert ours["SCORESPAN_ENABLE"] == "1"


def test_the_exit_and_the_signals_are_the_commands():
    """A supervisor sees no difference."""
    assert run(sys.executable, "-c", "import sys; sys.exit(37)").returncode == 37
    code = "import signal; print('ready', flush=True); signal.pause()"
    command = [*RUN, sys.executable, "-c", code]
    with started(command, {**clean_environment(), **MART}, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM


def test_a_command_that_cannot_be_started_is_said(tmp_path):
    """With 2, and its name."""
    done = run("no-such-command", "--port", "1")
    assert done.returncode == 2
    assert "there is no command no-such-command" in done.stderr
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    done = run(broken)
    assert done.returncode == 2
    assert f"{broken} cannot be started: No such file or directory" in done.stderr
    assert run().returncode == 2


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (MART | {"SCORESPAN_API_KEY": ""}, "SCORESPAN_API_KEY: no credentials"),
        (MART | {"SCORESPAN_STRICT": "perhaps"}, "SCORESPAN_STRICT: must be 1 or 0"),
    ],
)
def test_wrong_settings_are_said_before_the_command_starts(variables, said):
    """Who starts it by this name wants capture."""
    done = run(sys.executable, "-c", "print('serves')", environment=variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_without_an_address_the_mart_of_this_machine_is_taken(tmp_path):
    """With the key that it wrote at its first start; one line says so."""
    folder = tmp_path / "scorespan-mart"
    folder.mkdir()
    (folder / "admin.key").write_text("its-key\n")
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    done = run("--subscription", "credit", sys.executable, "-c", SHOWS, environment=environment)
    assert done.stderr == "scorespan: records go to http://127.0.0.1:8787\n"
    assert json.loads(done.stdout)[2] == {
        "SCORESPAN_ENABLE": "1",
        "SCORESPAN_SUBSCRIPTION_ID": "credit",
        "SCORESPAN_DATA_MART_URL": "http://127.0.0.1:8787",
        "SCORESPAN_DATA_MART_ID": DEFAULT_DATA_MART,
        "SCORESPAN_API_KEY": "its-key",
    }
    own = environment | {"SCORESPAN_DATA_MART_ID": "own"}
    ours = json.loads(run(sys.executable, "-c", SHOWS, environment=own).stdout)[2]
    assert ours["SCORESPAN_DATA_MART_ID"] == "own"


def test_a_mart_that_is_just_starting_is_waited_for(tmp_path):
    """Both commands are typed at once, and the first start of a mart takes a moment."""
    environment = {**clean_environment(), "XDG_STATE_HOME": str(tmp_path)}
    command = [*RUN, sys.executable, "-c", SHOWS]
    with started(command, environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        time.sleep(2)
        assert process.poll() is None
        folder = tmp_path / "scorespan-mart"
        folder.mkdir()
        (folder / ".new").write_text("its-key\n")
        (folder / ".new").replace(folder / "admin.key")
        out, _ = process.communicate(timeout=60)
    assert json.loads(out)[2]["SCORESPAN_API_KEY"] == "its-key"


def test_where_there_is_no_mart_the_variables_are_named(tmp_path):
    """Nothing is started."""
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    done = run(sys.executable, "-c", "print('serves')", environment=environment)
    assert (done.returncode, done.stdout) == (2, "")
    for word in ("SCORESPAN_DATA_MART_URL", "SCORESPAN_API_KEY", "scorespan mart", str(tmp_path)):
        assert word in done.stderr


def test_spans_that_go_elsewhere_need_no_mart(tmp_path):
    """The variables of OTLP say where."""
    environment = {"XDG_STATE_HOME": str(tmp_path), "SCORESPAN_EXPORT": "otlp"}
    done = run(sys.executable, "-c", "print('serves')", environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "serves\n", "")


def test_our_own_commands_are_no_services():
    """A data mart in an environment that captures for others does not capture itself."""
    code = """
from scorespan.startup import start
start()
import sys
from scorespan.cli import main
sys.argv[1:] = ["mart", "--help"]
try:
    main()
finally:
    import starlette.applications
    from scorespan.instrumentation import switch
    print(switch.is_on())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean_environment(), "SCORESPAN_ENABLE": "1", "SCORESPAN_STRICT": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("False\n")
