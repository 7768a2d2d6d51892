"""The socket that a server listens on, and its address."""

from __future__ import annotations

import ipaddress
import socket

from r1kit.errors import ConfigError


def reached_at(host: str, port: int) -> str:
    """Return the URL at which this machine reaches its own server."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    name = everywhere.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def listening(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 is any free port. Raises ConfigError if it is taken.

    Connections inherit TCP_NODELAY, which asyncio sets only on sockets that it recognizes as TCP.
    Without it, every chunk of a stream waits until the client has acknowledged the previous one.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"The server cannot listen on {host}:{port} ({error.strerror}); use another --port "
            "or --host."
        ) from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
