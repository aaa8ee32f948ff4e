"""The endpoint: where a server of ours listens, and how what comes there is protected."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from dataclasses import dataclass, replace
from pathlib import Path

from scorespan.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens, and with which certificate."""

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    certificate_key: Path | None = None

    @property
    def scheme(self) -> str:
        """`https` with a certificate."""
        return "http" if self.certificate is None else "https"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can come here."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def address(self) -> str:
        """Host and port as one text; an IPv6 address is in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address with its scheme, without a slash at the end."""
        return f"{self.scheme}://{self.address}"

    def bind(self, *, shared: bool = False) -> socket.socket:
        """A socket that has this address and does not listen yet; the caller closes it.

        Args:
            shared: others who say so as well may have the address at the same time, and who
                listens gets a part of the connections.

        Raises:
            OSError: there is no such host, or somebody has the address; the text names it.
        """
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.socket(family, kind, protocol)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if shared:
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                # Connections inherit it: an answer is never held back for an acknowledgement.
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                listener.bind(address)
            except OSError:
                listener.close()
                raise
        except OSError as error:
            raise OSError(error.errno, f"{self.address}: {error.strerror}") from error
        except UnicodeError:  # an empty label, or a long one
            raise OSError(errno.EINVAL, f"{self.address}: this is no name of a host") from None
        return listener

    def of(self, listener: socket.socket) -> Endpoint:
        """This endpoint with the host and port that a bound socket has in fact."""
        host, port = listener.getsockname()[:2]
        return replace(self, host=host, port=port)

    def check(self, *, insecure: bool) -> None:
        """Hold that tokens and payloads leave the machine encrypted only.

        Raises:
            SettingsError: off loopback without TLS, and not said to be wanted so; or half of TLS;
                or a certificate and a key that cannot be used together.
        """
        if (self.certificate is None) != (self.certificate_key is None):
            raise SettingsError("--tls-cert", "a certificate needs --tls-key, and the other way")
        if not (self.is_loopback or self.certificate or insecure):
            message = f"{self.host} is not loopback: give --tls-cert and --tls-key, or --insecure"
            raise SettingsError("--host", message)
        if self.certificate is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                    self.certificate, self.certificate_key
                )
            except OSError as error:
                message = f"{self.certificate} and its key cannot be used: {error.strerror}"
                raise SettingsError("--tls-cert", message) from None
