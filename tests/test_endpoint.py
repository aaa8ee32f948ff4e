"""The endpoint: what it says of itself, what it refuses, and the sockets that it binds."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path

import pytest

from faults.certificates import Authority
from scorespan.endpoint import Endpoint
from scorespan.errors import SettingsError

PEM = Path("some.pem")


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (Endpoint(port=4318), "http://127.0.0.1:4318"),
        (Endpoint("::1", 4318), "http://[::1]:4318"),
        (Endpoint("localhost", 1, PEM, PEM), "https://localhost:1"),
    ],
)
def test_its_address(endpoint, url):
    """Scheme by certificate; an IPv6 address in brackets."""
    assert endpoint.url == url


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_nothing(host):
    """Only this machine comes there."""
    Endpoint(host).check(insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost.example.org", ""])
def test_elsewhere_it_needs_tls_or_a_word(host, tmp_path):
    """What leaves the machine is encrypted, or somebody has said that it need not be."""
    with pytest.raises(SettingsError, match="--insecure"):
        Endpoint(host).check(insecure=False)
    Authority(tmp_path).server(timedelta(hours=1))
    pem = tmp_path / "server3600.pem"
    Endpoint(host, 0, pem, pem).check(insecure=False)
    Endpoint(host).check(insecure=True)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_certificate_that_is_none_is_named(tmp_path, content):
    """It is told with its file before anything is opened."""
    pem = tmp_path / "other.pem"
    if content is not None:
        pem.write_bytes(content)
    with pytest.raises(SettingsError, match=r"--tls-cert: .*other\.pem"):
        Endpoint("127.0.0.1", 0, pem, pem).check(insecure=True)


@pytest.mark.parametrize("half", [Endpoint(certificate=PEM), Endpoint(certificate_key=PEM)])
def test_half_of_tls_is_none(half):
    """Certificate and key go together."""
    with pytest.raises(SettingsError, match="--tls-key"):
        half.check(insecure=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_it_says_which_port_it_got(host):
    """Port 0 takes a free one, a name its address."""
    endpoint = Endpoint(host, 0, PEM, PEM)
    with endpoint.bind() as listener:
        found = endpoint.of(listener)
        assert found.port == listener.getsockname()[1] > 0
    assert found.host in {"127.0.0.1", "::1"}
    assert found.certificate == PEM


def test_a_taken_address_is_named():
    """Who listens has it alone, and the error says what is taken."""
    with Endpoint().bind() as listener:
        listener.listen()
        taken = Endpoint().of(listener)
        for shared in (False, True):
            with pytest.raises(OSError, match=taken.address) as raised:
                taken.bind(shared=shared)
            assert raised.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("host", ["no such host", "no..host", "x" * 64])
def test_a_host_that_is_not_there_is_named(host):
    """The error names it."""
    with pytest.raises(OSError, match=host):
        Endpoint(host).bind()


def test_those_who_share_an_address_may_all_listen():
    """Each has said that it shares."""
    with Endpoint().bind(shared=True) as one:
        one.listen()
        with Endpoint().of(one).bind(shared=True) as other:
            other.listen()
            assert other.getsockname() == one.getsockname()
