"""The session: kept-alive connections that notice when the other end is gone, or too slow."""

from __future__ import annotations

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

from scorespan.delivery.answer import Answer

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
    """Connections of one client. A read timeout is for an answer as a whole."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Connections())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, ever: who looks for one reads the whole body first."""


class _Connections(HTTPAdapter):
    """Connections with keep-alive probes, whose answers have a deadline."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, socket_options=_SOCKET_OPTIONS)
        _give_deadlines(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options, socket_options=_SOCKET_OPTIONS)
        if not known:
            _give_deadlines(manager)
        return manager

    def close(self) -> None:
        pools = self.poolmanager.pools
        # At the end of a process the pools' own finalizers have run before us, and did not see a
        # connection that was in use then.
        for key in pools.keys():  # noqa: SIM118 - urllib3's container cannot be iterated
            pools[key].close()
        super().close()


def _give_deadlines(manager: Any) -> None:
    """Have the pools of a manager make our answers; for some proxies they are of other classes."""
    for scheme, pool in list(manager.pool_classes_by_scheme.items()):
        connection = pool.ConnectionCls
        timed = type(connection.__name__, (connection,), {"response_class": Answer})
        made = type(pool.__name__, (pool,), {"ConnectionCls": timed})
        # A mapping of the manager's own: the usual one is everybody's.
        manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, scheme: made}
