"""`scorespan receive`: what it needs, what it refuses, and what it says."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from dataclasses import fields
from datetime import timedelta

import pytest
import requests
from click.testing import CliRunner

from examples.live import live_mart
from faults.certificates import Authority
from receiver.receiver_process import COMMAND, PROTOBUF, body_of, receiver_process
from running import clean_environment, run, started
from scorespan.cli.command import scorespan
from scorespan.receiver.memory import DECOMPRESSED_BYTES, LEAST_SPOOL_BYTES
from scorespan.settings import Settings

TOKEN, NEXT_TOKEN = "a-token-of-sixteen-characters", "the-token-that-comes-after-it"


@pytest.fixture
def settings(tmp_path):
    """Variables that are enough for a receiver, of which nobody is asked at the start."""
    return {
        "SCORESPAN_DATA_MART_URL": "http://127.0.0.1:9",
        "SCORESPAN_DATA_MART_ID": "mart",
        "SCORESPAN_API_KEY": "key",
        "SCORESPAN_SPOOL_DIR": str(tmp_path / "spool"),
        "SCORESPAN_SHUTDOWN_SECONDS": "0",
    }


def refused(settings, *arguments):
    """What is said to a start that is wrong use: exit 2, and no traceback."""
    result = CliRunner().invoke(scorespan, ["receive", *map(str, arguments)], env=settings)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output.splitlines()[-1]


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option):
    """Every option, with what it is unless given."""
    result = CliRunner().invoke(scorespan, ["receive", option])
    assert result.exit_code == 0
    for word in ("--host", "4318", "4317", "--no-grpc", "--token-file", "--workers", "127.0.0.1"):
        assert word in result.output


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SCORESPAN_DATA_MART_URL", ""),
        ("SCORESPAN_DATA_MART_URL", "mart.example.com"),
        ("SCORESPAN_DATA_MART_ID", ""),
        ("SCORESPAN_API_KEY", ""),
        ("SCORESPAN_SPOOL_MAX_BYTES", "little"),
        ("SCORESPAN_SPOOL_MAX_BYTES", str(LEAST_SPOOL_BYTES - 1)),
        ("SCORESPAN_SHUTDOWN_SECONDS", "-1"),
        ("SCORESPAN_RECEIVER_TOKEN", "short"),
        ("SCORESPAN_RECEIVER_TOKEN", f"{TOKEN},short"),
        ("SCORESPAN_RECEIVER_TOKEN", "sixteen-or-more-\u00e9"),
        ("SCORESPAN_RECEIVER_TOKEN", ","),
    ],
)
def test_a_wrong_setting_is_named(settings, variable, value):
    """One sentence that begins with the variable; a token is not shown."""
    said = refused({**settings, variable: value})
    assert said.startswith(f"Error: {variable}: ")
    assert "TOKEN" not in variable or value not in said


def test_the_largest_request_has_room_in_the_least_spool(settings):
    """The least bound is told where less is given, and documented at the setting."""
    known = {**settings, "SCORESPAN_SPOOL_MAX_BYTES": "300000000"}
    least = str(LEAST_SPOOL_BYTES)
    assert least in refused(known)
    (bound,) = (one for one in fields(Settings) if one.name == "spool_max_bytes")
    assert least in bound.metadata["doc"]
    assert LEAST_SPOOL_BYTES >= 2 * DECOMPRESSED_BYTES
    assert bound.default >= LEAST_SPOOL_BYTES


def test_a_spool_that_cannot_be_one_is_named(settings, tmp_path):
    """A file in the place of the spool root stops the start."""
    (tmp_path / "spool").touch()
    assert refused(settings).startswith("Error: SCORESPAN_SPOOL_DIR: ")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_spool_that_cannot_be_opened_is_told(settings, tmp_path, workers):
    """Where the root is good, but nothing can be made in it, it ends with 1 and does not listen."""
    # As long as a name may be: what is tried first has room, a directory of its own has not.
    root = str(tmp_path)
    while len(root) < 4053:
        root += "/" + "x" * min(200, 4053 - len(root) - 1)
    found = subprocess.run(
        [*COMMAND, "--http-port", "0", "--grpc-port", "0", "--workers", workers],
        env={**clean_environment(), **settings, "SCORESPAN_SPOOL_DIR": root},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 1, found.stderr
    assert found.stdout == ""
    assert "File name too long" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_off_loopback_it_wants_tls_and_a_token(settings, tmp_path, host):
    """Without the one or the other it does not start there."""
    Authority(tmp_path).server(timedelta(hours=1))
    pem = tmp_path / "server3600.pem"
    tls = ("--tls-cert", pem, "--tls-key", pem)
    assert "--insecure" in refused({**settings, "SCORESPAN_RECEIVER_TOKEN": TOKEN}, "--host", host)
    said = refused(settings, "--host", host, *tls)
    assert said.startswith("Error: SCORESPAN_RECEIVER_TOKEN: ")
    assert "--insecure" in said


def test_a_wrong_certificate_is_named(settings, tmp_path):
    """Half of one, or what is none."""
    pem = tmp_path / "cert.pem"
    pem.touch()
    assert "--tls-key" in refused(settings, "--tls-cert", pem)
    assert str(pem) in refused(settings, "--tls-cert", pem, "--tls-key", pem)


def test_two_doors_at_one_port_are_wrong(settings):
    """They are two ports."""
    assert "--grpc-port" in refused(settings, "--http-port", "5000", "--grpc-port", "5000")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"short\n",
        b"sixteen-or-more-\xff\xfe\n",
        b"sixteen-or-more-as-it-is\nshort\n",
    ],
)
def test_a_token_file_without_a_token_is_wrong(settings, tmp_path, content):
    """Its content is what counts, and is not shown."""
    (tmp_path / "token").write_bytes(content)
    said = refused(settings, "--token-file", tmp_path / "token")
    assert said.startswith("Error: --token-file: ")


def test_a_token_has_no_place_on_the_command_line(settings):
    """There every user of the machine could read it."""
    assert "No such option" in refused(settings, "--token", TOKEN)


@pytest.mark.parametrize("option", ["--http-port", "--grpc-port"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_one_line(settings, option, workers):
    """It ends with 1 and says which address is taken; nothing else is said."""
    ports = {"--http-port": "0", "--grpc-port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[option] = str(taken.getsockname()[1])
        found = subprocess.run(
            [*COMMAND, *(word for pair in ports.items() for word in pair), "--workers", workers],
            env={**clean_environment(), **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert f"127.0.0.1:{ports[option]}" in line
    assert "in use" in line


def test_two_receivers_do_not_share_a_port(settings):
    """The port of a running one is in use, also for gRPC, which several of its workers share."""
    environment = {**clean_environment(), **settings}
    with receiver_process(environment, "--workers", "2") as receiver:
        port = receiver.grpc.rpartition(":")[2]
        for workers in ("1", "2"):
            found = subprocess.run(
                [*COMMAND, "--http-port", "0", "--grpc-port", port, "--workers", workers],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert found.returncode == 1
            assert "in use" in found.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_off_loopback_with_tls_and_a_token(tmp_path, workers):
    """Who shows the token over TLS is let in, who shows none or another is not."""
    authority = Authority(tmp_path)
    authority.server(timedelta(hours=1))
    certificate = tmp_path / "server3600.pem"
    (tmp_path / "token").write_text(f"{TOKEN}\n{NEXT_TOKEN}\n")
    with (
        live_mart(tmp_path) as live,
        receiver_process(
            live.environment(SCORESPAN_RECEIVER_TOKEN="another-token-of-the-environment"),
            *("--host", "0.0.0.0", "--workers", workers, "--token-file", tmp_path / "token"),
            *("--tls-cert", certificate, "--tls-key", certificate),
        ) as receiver,
    ):
        assert receiver.url.startswith("https://0.0.0.0:")
        url = receiver.url.replace("0.0.0.0", "localhost")

        def status(authorization):
            headers = {**PROTOBUF, "Authorization": authorization}
            return requests.post(
                f"{url}/v1/traces",
                body_of("a"),
                headers=headers,
                verify=authority.file,
                timeout=60,
            ).status_code

        assert status(f"Bearer {TOKEN}") == 200
        assert status(f"Bearer {NEXT_TOKEN}") == 200
        assert status("Bearer another-token-of-the-environment") == 401
        assert status("") == 401
        context = ssl.create_default_context(cafile=authority.file)
        host, _, port = receiver.grpc.rpartition(":")
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection(("127.0.0.1", int(port)), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            assert secured.selected_alpn_protocol() == "h2"
        assert host == "0.0.0.0"


def test_insecure_is_taken_at_its_word(settings):
    """Off loopback in clear and without a token, where that is said to be wanted."""
    environment = {**clean_environment(), **settings}
    with receiver_process(environment, "--host", "0.0.0.0", "--insecure") as receiver:
        port = receiver.url.rpartition(":")[2]
        answer = requests.post(
            f"http://127.0.0.1:{port}/v1/traces", body_of("a"), headers=PROTOBUF, timeout=60
        )
        assert answer.status_code == 200


def test_what_it_says_to_people(settings):
    """One line for each door."""
    with started(
        [*COMMAND, "--http-port", "0", "--grpc-port", "0"],
        {**clean_environment(), **settings},
        stdout=subprocess.PIPE,
    ) as process:
        http, grpc = process.stdout.readline(), process.stdout.readline()
        process.terminate()
        rest, _ = process.communicate(timeout=60)
    assert http.startswith("OTLP/HTTP at http://127.0.0.1:")
    assert grpc.startswith("OTLP/gRPC at 127.0.0.1:")
    assert rest == ""


def test_other_commands_load_nothing_of_the_receiver():
    """Its modules and their libraries are there when it runs, not before."""
    code = (
        "import sys, scorespan.cli.command\n"
        "heavy = ('scorespan.receiver', 'grpc', 'google.protobuf', 'uvicorn')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = run([sys.executable, "-c", code], clean_environment())
    assert done.stdout.strip() == "[]"
