"""Which pages may ask, and what their browsers must be told for it (CORS).

A browser says in the header Origin which page asks. Without leave none of the web may: such a page
could use a model of this machine behind the back of whoever looks at it. Programs of this machine
that are written as pages may, since no page of the web can have an origin of theirs; the list is
that of Ollama, without its local web servers.
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
"""any page of the web can have the first one: that of a frame in a sandbox"""
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_WORDS = re.compile(r"[A-Za-z0-9_, -]{1,2000}")
_EXPOSED = "Retry-After, X-Request-Id, X-Should-Retry"
_KNOWN_FOR_S = 600


class Origins:
    """Those that are allowed; `*` stands for any characters but a slash."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        """Raises ConfigError for what is no origin."""
        self._patterns = [_pattern(one) for one in (*APPS, *allowed)]

    def has(self, origin: str) -> bool:
        return any(pattern.fullmatch(origin.lower()) for pattern in self._patterns)

    @property
    def are_everybody(self) -> bool:
        """Whether any page of the web may ask."""
        return any(map(self.has, _ANYBODY))


def is_own(origin: str, host: str | None) -> bool:
    """Whether a page comes from the server it asks."""
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks if it may ask; it sends no key then."""
    return method == "OPTIONS" and {"origin", "access-control-request-method"} <= set(headers)


def granted(origin: str) -> dict[str, str]:
    """Headers of every answer to a page that is allowed. Cookies are never part of it."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": _EXPOSED,
    }


def preflight(headers: Headers) -> dict[str, str]:
    """What such a page may send, and for how long the browser need not ask again."""
    wanted = headers.get("access-control-request-headers", "")
    told = {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Max-Age": str(_KNOWN_FOR_S),
    }
    if _WORDS.fullmatch(wanted):
        told["Access-Control-Allow-Headers"] = wanted
    if headers.get("access-control-request-private-network") == "true":
        told["Access-Control-Allow-Private-Network"] = "true"
    return told


def _pattern(told: str) -> re.Pattern[str]:
    """Raises ConfigError for what no browser sends."""
    origin = told.strip().lower()
    if origin == "*":
        return re.compile(".*")
    scheme, sign, place = origin.partition("://")
    place = place.rstrip("/").removesuffix(_DEFAULT_PORTS.get(scheme, "/"))
    needs_place = scheme in _DEFAULT_PORTS
    if origin != "null" and (
        not sign or not scheme or re.search(r"[/?#@\s]", place) or (needs_place and not place)
    ):
        raise ConfigError(
            f"--allow-origin {told}: An origin is a scheme, a name and perhaps a port, as in "
            "https://example.org, http://localhost:5173, vscode-webview://* or null."
        )
    return re.compile(re.escape(f"{scheme}{sign}{place}").replace(r"\*", "[^/]*"))
