"""`r1 serve`: open the checkpoints, refuse what would expose them, and run uvicorn."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Collection, Mapping
from pathlib import Path

import uvicorn

from r1kit.errors import ConfigError
from r1kit.model import checkpoint
from r1kit.serve import app
from r1kit.serve.gate import LOOPBACK
from r1kit.serve.limits import Limits
from r1kit.serve.models import Served

_GRACE_S = 5
"""for answers in flight when the server is stopped"""

log = logging.getLogger("r1kit.serve")


def run(
    folders: Mapping[str, Path],
    device: str,
    limits: Limits,
    *,
    host: str,
    port: int,
    keys: Collection[str],
    hosts: Collection[str],
    origins: Collection[str],
    insecure: bool,
) -> None:
    """Serve the checkpoints in `folders` by their names until interrupted.

    Raises ConfigError for an address that would be open to others without a key, CheckpointError
    for a folder that does not open.
    """
    refuse_exposure(host, keys, insecure)
    served = [
        Served(name, *checkpoint.load(folder, device=device), limits)
        for name, folder in folders.items()
    ]
    allowed = {*LOOPBACK, *hosts} if is_loopback(host) or hosts else None
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    config = uvicorn.Config(
        app.build(served, limits, keys=keys, hosts=allowed, origins=origins),
        access_log=False,  # gate.py has a line for each request, without its query
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    with listening(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        log.info("%s at http://%s:%d", ", ".join(folders), name, listener.getsockname()[1])
        uvicorn.Server(config).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A socket at this address, 0 for any free port. Raises ConfigError when it is taken.

    Connections inherit TCP_NODELAY, which asyncio sets only on those it knows to be TCP: without,
    every piece of a stream waits for the client to have acknowledged the last one.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"{host}:{port} cannot be listened on ({error.strerror}); give another --port or "
            "--host."
        ) from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def refuse_exposure(host: str, keys: Collection[str], insecure: bool) -> None:
    """Raises ConfigError when others could reach a server that asks for no key."""
    if any(not key.strip() for key in keys):
        raise ConfigError("An API key cannot be empty; give one, or none.")
    if not is_loopback(host) and not keys and not insecure:
        raise ConfigError(
            f"{host} can be reached from other machines; set --api-key (or R1_API_KEY), or say "
            "--insecure if everybody there may use the model."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
