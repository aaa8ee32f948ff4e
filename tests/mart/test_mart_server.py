"""The server: starting, stopping, being killed, and its command."""

from __future__ import annotations

import ipaddress
import json
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scorespan.endpoint import Endpoint
from scorespan.errors import SettingsError
from scorespan.mart.incoming import LARGEST_TOTAL
from scorespan.mart.place import default_folder
from scorespan.mart.server import running_mart

COMMAND = [sys.executable, "-c", "from scorespan.cli.mart import mart; mart()"]
GRANT = "urn:ibm:params:oauth:grant-type:apikey"


@contextmanager
def mart_process(folder, *arguments):
    """A mart in a process of its own, once it listens: the process and what it said."""
    with subprocess.Popen(
        [*COMMAND, "--data", folder, "--port", "0", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield process, json.loads(line)
        finally:
            process.kill()
            process.communicate()


def client_of(said, **tls):
    """A client that is let in by the key in the data folder."""
    key = Path(said["admin_key_file"]).read_text(encoding="ascii").strip()
    form = {"grant_type": GRANT, "apikey": key}
    address = f"{said['url']}/v1/preauth/validateAuth"
    token = httpx.post(address, data=form, trust_env=False, **tls).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=said["url"], headers=headers, trust_env=False, **tls)


def prepare(http):
    """A data mart with one subscription, over HTTP."""
    binding = "/v1/data_marts/dm/service_bindings"
    subscription = f"{binding}/binding/subscriptions/sub"
    assert http.put("/v1/data_marts/dm", json={"internal_database": True}).is_success
    assert http.post(binding, json={"instance_id": "binding"}).is_success
    assert http.put(subscription, json={}).is_success
    switch = f"{subscription}/configurations/payload_logging"
    assert http.put(switch, json={"enabled": True}).is_success


def test_what_was_answered_204_survives_a_kill(tmp_path, mart_record):
    """Records that were answered 204 are there after SIGKILL, and the old token still opens."""
    path = "/v1/data_marts/dm/scoring_payloads"
    stored = []
    with mart_process(tmp_path / "data") as (process, said), client_of(said) as http:
        prepare(http)
        for at in range(20):
            assert http.post(path, json=[mart_record(f"r{at}")]).status_code == 204
            stored.append(f"r{at}")
        process.send_signal(signal.SIGKILL)
        process.wait()
        bearer = dict(http.headers)["authorization"]
    with mart_process(tmp_path / "data") as (_, said), client_of(said) as http:
        found = http.get(path, headers={"Authorization": bearer}).json()["records"]
        assert [record["scoring_id"] for record in found] == stored
        assert http.post(path, json=[mart_record("r0"), mart_record("new")]).status_code == 204
        assert len(http.get(path).json()["records"]) == 21


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_peace(tmp_path, number):
    """SIGTERM and SIGINT end the command with 0 and without a word on stderr."""
    with mart_process(tmp_path / "data") as (process, said):
        assert httpx.get(f"{said['url']}/healthz", trust_env=False).status_code == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def test_what_it_says_is_one_line_without_the_key(tmp_path):
    """With --json: address, data folder and key file; the key itself is not for pipes."""
    folder = tmp_path / "data"
    with mart_process(folder) as (process, said):
        assert said.keys() == {"url", "data", "admin_key_file"}
        assert said["data"] == str(folder)
        assert said["url"].startswith("http://127.0.0.1:")
        process.terminate()
        out, err = process.communicate(timeout=30)
        key = (folder / "admin.key").read_text().strip()
        assert key not in out + err + json.dumps(said)


def test_a_terminal_is_shown_the_new_key_once(tmp_path):
    """On a terminal the first start shows the admin key, the second does not."""
    for first in (True, False):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*COMMAND, "--data", tmp_path / "data", "--port", "0"], stdout=theirs
        ) as process:
            os.close(theirs)
            with os.fdopen(ours, "r", encoding="utf-8", errors="replace") as terminal:
                said = terminal.readline()
                said += terminal.readline() if first else ""
                process.terminate()
                process.wait()
        key = (tmp_path / "data" / "admin.key").read_text().strip()
        assert "data mart at http://127.0.0.1:" in said
        assert (key in said) is first


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_off_loopback_it_wants_tls_or_a_word(tmp_path, host):
    """Another address without a certificate or --insecure is wrong use: exit 2, one sentence."""
    found = subprocess.run(
        [*COMMAND, "--data", tmp_path / "data", "--host", host],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert "--insecure" in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_neither(host):
    """Loopback addresses are served in clear."""
    Endpoint(host).check(insecure=False)


def test_half_of_a_certificate_is_wrong(tmp_path):
    """A certificate needs its key and the other way round."""
    for endpoint in (Endpoint(certificate=tmp_path), Endpoint(certificate_key=tmp_path)):
        with pytest.raises(SettingsError, match="--tls-key"):
            endpoint.check(insecure=True)


def test_insecure_is_taken_at_its_word(tmp_path):
    """With --insecure any address is served in clear."""
    with mart_process(tmp_path / "data", "--host", "0.0.0.0", "--insecure") as (_, said):
        port = said["url"].rpartition(":")[2]
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        assert answer.status_code == 200


def test_a_port_in_use_is_one_clear_sentence(tmp_path):
    """A port that is taken ends the command with 1 and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = subprocess.run(
            [*COMMAND, "--data", tmp_path / "data", "--port", port],
            capture_output=True,
            text=True,
            check=False,
        )
    assert found.returncode == 1
    assert "in use" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.fixture
def mart_certificate(tmp_path):
    """A self-signed certificate for the loopback address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mart")])
    now = datetime.now(timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    private = key.private_bytes(
        form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(form))
    (tmp_path / "key.pem").write_bytes(private)
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_with_a_certificate_it_speaks_tls(tmp_path, mart_certificate):
    """With certificate and key the address is https and answers under that certificate."""
    certificate, key = mart_certificate
    arguments = ("--tls-cert", certificate, "--tls-key", key)
    context = ssl.create_default_context(cafile=certificate)
    with mart_process(tmp_path / "data", *arguments) as (_, said):
        assert said["url"].startswith("https://")
        with client_of(said, verify=context) as http:
            prepare(http)


def test_a_running_mart_is_ready_for_other_tests(tmp_path, mart_record):
    """In a thread: address, key and a prepared data mart, gone when the block ends."""
    with running_mart(tmp_path / "data") as mart:
        mart.prepare("dm", "sub")
        headers = {"Authorization": f"Bearer {mart.token()}"}
        with httpx.Client(base_url=mart.url, headers=headers, trust_env=False) as http:
            path = "/v1/data_marts/dm/scoring_payloads"
            assert http.post(path, json=[mart_record()]).status_code == 204
        form = {"grant_type": GRANT, "apikey": mart.api_key}
        token = httpx.post(f"{mart.url}/v1/preauth/validateAuth", data=form, trust_env=False)
        assert token.status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{mart.url}/healthz", trust_env=False)


def test_a_connection_is_kept_and_answers_leave_in_one_piece(mart):
    """Many requests use one connection, and headers and body of an answer arrive together."""
    host, port = mart.running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(10)
        for _ in range(20):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: mart\r\n\r\n")
            received = connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200")
            assert received.endswith(b'{"status":"ok"}')
            assert b"\r\nserver:" not in received.lower()


def test_a_client_that_goes_away_leaves_nothing_behind(mart, mart_record, caplog):
    """A body that breaks off stores nothing, is no fault of the mart, and gives its room back."""
    host, port = mart.running.url.removeprefix("http://").split(":")
    record = json.dumps([mart_record()])
    head = (
        f"POST {mart.root}/scoring_payloads HTTP/1.1\r\nHost: mart\r\n"
        f"Authorization: {mart.http.headers['Authorization']}\r\n"
        f"Content-Length: {len(record) + 1}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall((head + record).encode())
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        while connection.recv(65536):
            pass
    assert mart.records() == []
    assert not [line for line in caplog.records if line.levelname == "ERROR"]
    mart.running.mart.room.take(LARGEST_TOTAL)


def test_a_large_answer_arrives_whole(mart, mart_record):
    """An answer of many segments is complete, also when the client asks to close after it."""
    large = mart_record(request={"fields": ["x"], "values": [["y" * 5_000_000]]})
    mart.stored(large)
    answer = mart.http.get(f"{mart.root}/scoring_payloads", headers={"Connection": "close"})
    assert answer.json()["records"][0] == large


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/x"}, "/state/scorespan-mart"),
        ({"HOME": "/home/x"}, "/home/x/.local/state/scorespan-mart"),
    ],
)
def test_the_default_folder(monkeypatch, variables, expected):
    """Data lies in the user's state folder."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(default_folder()) == expected


@pytest.mark.parametrize("name", ["signing.key", "admin.key"])
def test_a_secret_that_others_may_have_written_is_refused(tmp_path, name):
    """A planted or readable key file stops the start, with the file's name."""
    folder = tmp_path / "mart"
    folder.mkdir(mode=0o755)
    (folder / name).write_text("planted\n", encoding="ascii")
    (folder / name).chmod(0o644)
    with pytest.raises(SettingsError, match="open to others"), running_mart(folder):
        pass


def test_an_open_data_folder_is_closed(tmp_path):
    """An existing folder loses the permissions of others."""
    folder = tmp_path / "mart"
    folder.mkdir(mode=0o755)
    with running_mart(folder):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_token_request_is_small(mart_empty):
    """Nobody without a token can make the mart hold a large body."""
    form = {"grant_type": GRANT, "apikey": "x" * 20_000}
    address = f"{mart_empty.running.url}/v1/preauth/validateAuth"
    assert httpx.post(address, data=form, trust_env=False).status_code == 413
