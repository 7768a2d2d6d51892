"""The page in a process of its own, so that a test can kill it and start another in its place."""

import contextlib
import socket
from collections.abc import Iterator

import httpx
import uvicorn

from r1kit.http.listener import listening
from tests.forks import CONTEXT


def run(port: int, upstream: str) -> None:
    """Serves the page for the API at `upstream`."""
    from r1kit.pages.site import open_page
    from r1kit.serve import app
    from r1kit.serve.limits import ServeLimits

    asgi = app.build([], ServeLimits(), page=open_page(upstream))
    config = uvicorn.Config(asgi, log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening("127.0.0.1", port)])


class PageServer:
    """One address, and a process behind it or none."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = CONTEXT.Process(target=run, args=(self._port, self._upstream), daemon=True)
        self._process.start()
        while self._process.is_alive():
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/gradio_api/app_id", timeout=5).is_success:
                    return
        raise AssertionError("the page's server ended while it started")

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


@contextlib.contextmanager
def page_server(upstream: str) -> Iterator[PageServer]:
    server = PageServer(upstream)
    server.start()
    try:
        yield server
    finally:
        server.kill()
