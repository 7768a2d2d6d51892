"""JSON over HTTP to one server that may be slow, busy, down or sending invalid responses.

Transient failures (no connection, a timeout, HTTP 408, 409, 425, 429 and 5xx, a damaged response)
are retried with exponential backoff without jitter, so the waits are the same in every run; a
Retry-After header takes precedence, up to a minute. Permanent failures are raised at once with the
server's own message. The API key is sent in one header and appears in no error.
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx

from r1kit.errors import ConfigError, EngineError
from r1kit.files.untrusted import read_repaired_json
from r1kit.http.sse import EventReader
from r1kit.types import Json

T = TypeVar("T")

TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
"""statuses that are retried, besides all from 500 on"""
REFUSED_STATUSES = frozenset({400, 413, 422})
"""statuses that reject one request and say nothing about the server"""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
MAX_RETRY_AFTER_S = 60.0
"""maximum wait accepted from a Retry-After header"""
CONNECT_S = 10.0
MAX_BODY_BYTES = 64_000_000
MAX_MESSAGE_CHARS = 300
"""maximum number of characters of a server's message in an error"""

_HINTS = {
    401: "Give the key that this server wants.",
    403: "Give the key that this server wants.",
    404: "See whether the address is right (it often ends in /v1), and the model's name.",
}


class RefusedError(EngineError):
    """The server works but refuses this request; other requests may succeed."""


class TimeoutEngineError(EngineError):
    """The server does not answer in time."""


class _TransientError(Exception):
    """A failed attempt that may succeed when retried."""

    def __init__(self, why: str, wait_s: float | None = None, is_late: bool = False) -> None:
        super().__init__(why)
        self.wait_s = wait_s
        self.is_late = is_late


class HttpClient:
    """A client for one server. Safe to use from several threads at once."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        timeout_s: float,
        retries: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = _address(url)
        self._key = _checked(api_key)
        self._timeout_s = timeout_s
        self._retries = retries
        self._sleep = sleep
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_S), pool=None),
            limits=httpx.Limits(max_connections=None),
        )

    def call(self, method: str, path: str, body: Json | None, read: Callable[[Json], T]) -> T:
        """Send a request and return `read(response)`; a ValueError from `read` causes a retry.

        Raises RefusedError if the server refuses this request, EngineError for all other failures.
        """
        failure = _TransientError("never tried")
        for attempt in range(self._retries + 1):
            if attempt:
                doubled = min(FIRST_WAIT_S * 2 ** (attempt - 1), LONGEST_WAIT_S)
                self._sleep(doubled if failure.wait_s is None else failure.wait_s)
            try:
                return self._try(method, path, body, read)
            except _TransientError as error:
                failure = error
        tries = "one try" if self._retries == 0 else f"{self._retries + 1} tries"
        kind = TimeoutEngineError if failure.is_late else EngineError
        raise kind(
            f"The server at {self.address} gave no answer in {tries} ({failure}); see whether it "
            "runs and the address is right, then ask again."
        )

    def events(self, path: str, body: Json) -> Iterator[Json]:
        """Yield the events of a streamed response; no retries, as shown text cannot be taken back.

        Raises EngineError if the server refuses, disconnects, or ends the stream without `[DONE]`.
        """
        reader = EventReader()
        content = json.dumps(body).encode()
        try:
            with self._client.stream("POST", self.address + path, content=content) as response:
                if not 200 <= response.status_code < 300:
                    self._refuse(response, self._read(response, time.monotonic() + CONNECT_S))
                for part in response.iter_bytes():
                    yield from reader.feed(part)
                    if reader.is_done:
                        return
        except httpx.HTTPError as error:
            why = self._shown(str(error) or type(error).__name__)
        except _TransientError as error:
            why = str(error)
        else:
            why = "its stream ended in the middle"
        raise EngineError(f"The server at {self.address} gave no whole answer ({why}); ask again.")

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _try(self, method: str, path: str, body: Json | None, read: Callable[[Json], T]) -> T:
        content = None if body is None else json.dumps(body).encode()
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._client.stream(method, self.address + path, content=content) as response:
                data = self._read(response, deadline)
        except httpx.TimeoutException:
            raise _TransientError(f"nothing within {self._timeout_s:g} s", is_late=True) from None
        except httpx.HTTPError as error:
            raise _TransientError(self._shown(str(error) or type(error).__name__)) from None
        self._refuse(response, data)
        try:
            answer = read_repaired_json(data)
        except ValueError:
            kind = response.headers.get("Content-Type", "no content type")
            if "json" in kind:
                raise _TransientError("damaged JSON") from None
            raise EngineError(
                f"The server at {self.address} answers, but not as an OpenAI-compatible one: "
                f"{self._shown(kind)} in place of JSON. {_HINTS[404]}"
            ) from None
        try:
            return read(answer if isinstance(answer, dict) else {})
        except ValueError as error:
            raise _TransientError(self._shown(str(error))) from None

    def _read(self, response: httpx.Response, deadline: float) -> bytes:
        """Return the body. The deadline covers all of it, as some servers send blanks meanwhile."""
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise EngineError(f"The server at {self.address} answers without end.")
            if time.monotonic() > deadline:
                raise _TransientError(f"nothing whole within {self._timeout_s:g} s", is_late=True)
        return b"".join(parts)

    def _refuse(self, response: httpx.Response, data: bytes) -> None:
        """Raises an error unless the status is 2xx."""
        status = response.status_code
        if 200 <= status < 300:
            return
        message = self._shown(_message(response, data))
        asks_no_more = response.headers.get("x-should-retry") == "false"
        if (status in TRANSIENT_STATUSES or status >= 500) and not asks_no_more:
            raise _TransientError(f"HTTP {status}: {message}", _wait_s(response))
        kind = RefusedError if status in REFUSED_STATUSES else EngineError
        sentence = f"The server at {self.address} refuses (HTTP {status}): {message.rstrip('.')}."
        raise kind(f"{sentence} {_HINTS[status]}" if status in _HINTS else sentence)

    def _shown(self, text: str) -> str:
        """Return the text on one line, cut to MAX_SAID, with the API key masked if it occurs."""
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        if self._key:
            text = text.replace(self._key, "***")
        return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}…"


def reason(body: Any, max_chars: int = 300) -> str:
    """Return the message in a server's error JSON, wherever it is; "" if there is none.

    The result is one line of at most `max_chars` characters, without the full stop.
    """
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    words = error if isinstance(error, str) else ""
    return " ".join(words.split())[:max_chars].rstrip(".")


def is_url(text: str) -> bool:
    """True if the text is the URL of a server and not a folder."""
    return text.startswith(("http://", "https://"))


def _address(url: str) -> str:
    """Validate and normalise a URL. The ConfigError omits it because it may hold a secret."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if not is_url(url) or not parsed.host:
        raise ConfigError("A server's address is http://host:port/v1 or https://host/v1.")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigError(
            "The address of a server holds no key, query or fragment; give the key apart from it."
        )
    return url.rstrip("/").removesuffix("/chat/completions")


def _checked(api_key: str | None) -> str:
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("The key of the server has characters that no header may have.")
    return key


def _message(response: httpx.Response, data: bytes) -> str:
    """Return the server's error message, wherever the response has it."""
    try:
        body = read_repaired_json(data)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        kind = response.headers.get("Content-Type", "")
        text = "" if "html" in kind else data.decode(errors="replace").strip()
        return text or response.reason_phrase or "no reason given"
    return reason(body, len(data)) or json.dumps(body)


def _wait_s(response: httpx.Response) -> float | None:
    """Return the wait in seconds from Retry-After, which holds a number or a date."""
    header = response.headers.get("Retry-After")
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if seconds == seconds else None
