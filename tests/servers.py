"""A server that does what a test says: right answers, wrong ones, late ones, none."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    body: Any = ""
    """a JSON value, or a text as it is"""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    """before anything is sent; cut short when the server closes"""
    blanks: int = 0
    """sent before the body, one in 0.1 s"""


def said(content: str | None, finish: str | None = "stop", **message: Any) -> Reply:
    """A chat completion of one choice."""
    choice = {"index": 0, "finish_reason": finish,
              "message": {"role": "assistant", "content": content, **message}}  # fmt: skip
    return Reply({"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 7}})


def refusal(status: int, message: str, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply({"error": {"message": message}}, status, named)


Script = Callable[[int, Body], Reply]
"""(place among the requests, body) → reply"""


class Scripted:
    """What was asked of it, in order."""

    def __init__(self, script: Script, models: list[Body]) -> None:
        self.script = script
        self.models = models
        self.requests: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.n_at_once = 0
        self.most_at_once = 0
        self.url = ""
        self.is_over = threading.Event()
        self.lock = threading.Lock()


class CrowdedServer(ThreadingHTTPServer):
    """Takes many connections at once, of which 5 may wait by default and the others are reset."""

    request_queue_size = 128


@contextlib.contextmanager
def scripted(script: Script | list[Reply], models: tuple[str, ...] = ("m",)) -> Iterator[Scripted]:
    """A running one; of a list, each request gets the next reply, and the last one for ever."""
    replies = script if isinstance(script, list) else []
    actual: Script = (lambda i, _: replies[min(i, len(replies) - 1)]) if replies else script  # type: ignore[assignment]
    server = Scripted(actual, [{"id": name} for name in models])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(Reply({"data": server.models}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                index = len(server.requests)
                server.requests.append(body)
                server.headers.append(dict(self.headers))
                server.n_at_once += 1
                server.most_at_once = max(server.most_at_once, server.n_at_once)
            self.answer(server.script(index, body))
            with server.lock:
                server.n_at_once -= 1

        def answer(self, reply: Reply) -> None:
            server.is_over.wait(reply.after_s)
            text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
            headers = {"Content-Type": "application/json", **reply.headers}
            with contextlib.suppress(OSError):
                self.send_response(reply.status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for _ in range(reply.blanks):
                    server.is_over.wait(0.1)
                    self.wfile.write(b"\n")
                self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with CrowdedServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        server.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.is_over.set()
            listening.shutdown()
            thread.join()
