"""`r1 serve`: refuses an exposed address, opens the models and runs uvicorn."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

import uvicorn

from r1kit.errors import ConfigError
from r1kit.http.listener import is_loopback, listening, reached_at
from r1kit.http.signalled_server import SignalledServer
from r1kit.serve import app
from r1kit.serve.access import LOOPBACK
from r1kit.serve.limits import ServeLimits
from r1kit.serve.models import ServedModel
from r1kit.serve.origins import Origins
from r1kit.serve.response_store import ResponseStore

_GRACE_S = 5
"""seconds for answers in flight to finish when the server is stopped"""
_TELL_S = 2
"""seconds to send the other clients an error; then they are cut off"""

log = logging.getLogger("r1kit.serve")


def run(
    open_models: Callable[[], Sequence[ServedModel]],
    limits: ServeLimits,
    *,
    host: str,
    port: int,
    keys: Collection[str],
    hosts: Collection[str],
    origins: Collection[str],
    insecure: bool,
    is_launch_day: bool = False,
    open_page: Callable[[str], app.Page] | None = None,
    store: ResponseStore | None = None,
) -> None:
    """Serve models until interrupted; they are opened once the address is checked and bound.

    `open_page` makes the web pages, from the API's own address.
    Raises ConfigError for an address that others could reach without a key.
    """
    refuse_exposure(host, keys, insecure, Origins(origins))
    allowed = {*LOOPBACK, *hosts} if is_loopback(host) or hosts else None
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    with listening(host, port) as listener:
        port = listener.getsockname()[1]
        log.info("opening the models; the first time on a machine takes some seconds longer")
        # The models load in other processes, the page in this one.
        with ThreadPoolExecutor(1) as executor:
            page_future = executor.submit(open_page, reached_at(host, port)) if open_page else None
            served = open_models()
        page = page_future.result() if page_future else None
        logging.getLogger("uvicorn.error").addFilter(_is_unlogged)
        config = uvicorn.Config(
            app.build(
                served,
                limits,
                keys=keys,
                hosts=allowed,
                origins=origins,
                page=page,
                is_launch_day=is_launch_day,
                store=store,
            ),
            access_log=False,  # request_log.py logs each request, without its query string
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S + _TELL_S,
        )
        # Objects that exist now are never freed: scanning them in every garbage collection took a
        # fifth of the server's time.
        gc.collect()
        gc.freeze()
        name = f"[{host}]" if ":" in host else host
        log.info("%s at http://%s:%d", ", ".join(model.name for model in served), name, port)
        _ModelServer(config, served).serve_on(listener)


class _ModelServer(SignalledServer):
    """A server that stops its models when it shuts down."""

    def __init__(self, config: uvicorn.Config, served: Sequence[ServedModel]) -> None:
        super().__init__(config)
        logging.getLogger("uvicorn.error").addFilter(_is_worth_a_line)
        self._served = served

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        task = asyncio.create_task(self._stop_models())
        try:
            await super().shutdown(sockets)
        finally:
            task.cancel()

    async def _stop_models(self) -> None:
        """End answers that outlast the grace period with an error instead of cutting them off."""
        await asyncio.sleep(_GRACE_S)
        for model in self._served:
            await model.stop()


def _is_unlogged(record: logging.LogRecord) -> bool:
    """Drop the record of a body that answer.py left incomplete; the middleware has logged it."""
    return "without completing response" not in record.getMessage()


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Drop the record of a request cut off by the shutdown, which is no handler error."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, asyncio.CancelledError)


def refuse_exposure(
    host: str, keys: Collection[str], insecure: bool, origins: Origins | None = None
) -> None:
    """Raise ConfigError if others could reach a server that requires no key."""
    if any(not key.strip() for key in keys):
        raise ConfigError("An API key cannot be empty; give a key, or leave --api-key out.")
    if not is_loopback(host) and not keys and not insecure:
        raise ConfigError(
            f"{host} can be reached from other machines; set --api-key (or R1_API_KEY), or use "
            "--insecure if everybody there may use the model."
        )
    if origins is not None and origins.are_everybody and not keys and not insecure:
        raise ConfigError(
            "--allow-origin allows every web page; set --api-key (or R1_API_KEY), use "
            "--insecure, or name the allowed pages."
        )
