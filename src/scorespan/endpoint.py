"""The endpoint: where a server of ours listens, and how what comes there is protected."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
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

    def check(self, *, insecure: bool) -> None:
        """Hold that tokens and payloads leave the machine encrypted only.

        Raises:
            SettingsError: off loopback without TLS, and not said to be wanted so; or half of TLS.
        """
        if (self.certificate is None) != (self.certificate_key is None):
            raise SettingsError("--tls-cert", "a certificate needs --tls-key, and the other way")
        if not (self.is_loopback or self.certificate or insecure):
            message = f"{self.host} is not loopback: give --tls-cert and --tls-key, or --insecure"
            raise SettingsError("--host", message)
