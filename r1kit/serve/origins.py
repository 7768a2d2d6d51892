"""Allowed origins of web pages, and the CORS headers for their browsers.

The Origin header names the page that sends a request. By default no web page is allowed: it could
use a model on this machine without the user's knowledge. Desktop apps built from web pages are
allowed, since no web page can have their origins; the list is Ollama's, without its local web
servers.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from r1kit.errors import ConfigError

APPS = ("app://*", "file://*", "tauri://*", "vscode-file://*", "vscode-webview://*")
"""Obsidian and others, Electron, Tauri, VS Code"""
_ANYBODY = ("null", "https://anybody.example")
"""origins that stand for any web page; each can have the first one, that of a sandboxed frame"""
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_WORDS = re.compile(r"[A-Za-z0-9_, -]{1,2000}")
_EXPOSED = "Retry-After, X-Fields-Without-Effect, X-Request-Id, X-Should-Retry"
_KNOWN_FOR_S = 600


class Origins:
    """The allowed origins; `*` matches any characters except a slash."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        """Raises ConfigError for an invalid origin."""
        self._patterns = [_pattern(origin) for origin in (*APPS, *allowed)]

    def has(self, origin: str) -> bool:
        return any(pattern.fullmatch(origin.lower()) for pattern in self._patterns)

    @property
    def are_everybody(self) -> bool:
        """True if every web page is allowed."""
        return any(map(self.has, _ANYBODY))


def is_own(origin: str, host: str | None) -> bool:
    """Return True if the page comes from this server."""
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def is_preflight(method: str, headers: Headers) -> bool:
    """Return True for a CORS preflight request, which carries no key."""
    return method == "OPTIONS" and {"origin", "access-control-request-method"} <= set(headers)


def granted(origin: str) -> dict[str, str]:
    """Return the CORS headers of every response to an allowed page. They never allow cookies."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": _EXPOSED,
    }


def preflight(headers: Headers) -> dict[str, str]:
    """Return the headers of a preflight response: what the page may send, and how long it holds."""
    names = headers.get("access-control-request-headers", "")
    response_headers = {
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        "Access-Control-Max-Age": str(_KNOWN_FOR_S),
    }
    if _WORDS.fullmatch(names):
        response_headers["Access-Control-Allow-Headers"] = names
    if headers.get("access-control-request-private-network") == "true":
        response_headers["Access-Control-Allow-Private-Network"] = "true"
    return response_headers


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern. Raises ConfigError for an origin that no browser sends."""
    origin = text.strip().lower()
    if origin == "*":
        return re.compile(".*")
    scheme, sign, address = origin.partition("://")
    address = address.rstrip("/").removesuffix(_DEFAULT_PORTS.get(scheme, "/"))
    needs_address = scheme in _DEFAULT_PORTS
    if origin != "null" and (
        not sign or not scheme or re.search(r"[/?#@\s]", address) or (needs_address and not address)
    ):
        raise ConfigError(
            f"--allow-origin {text}: An origin is a scheme, a name and perhaps a port, as in "
            "https://example.org, http://localhost:5173, vscode-webview://* or null."
        )
    return re.compile(re.escape(f"{scheme}{sign}{address}").replace(r"\*", "[^/]*"))
