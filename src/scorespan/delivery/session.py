"""The session: kept-alive connections that notice when the other end is gone."""

from __future__ import annotations

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]
"""However long an answer may take: that its sender is gone is found out within 30 seconds."""
_SOCKET_OPTIONS = [*HTTPConnection.default_socket_options, *_KEEP_ALIVE]


class Session(requests.Session):
    """Connections of one client."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _KeepAlive())


class _KeepAlive(HTTPAdapter):
    """Connections that notice when the other end is no longer there."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, socket_options=_SOCKET_OPTIONS)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, socket_options=_SOCKET_OPTIONS)

    def close(self) -> None:
        pools = self.poolmanager.pools
        # At the end of a process the pools' own finalizers have run before us, and did not see a
        # connection that was in use then.
        for key in pools.keys():  # noqa: SIM118 - urllib3's container cannot be iterated
            pools[key].close()
        super().close()
