"""Limits on unread messages, which gradio keeps in memory until they are fetched.

Events that a session sends without fetching its messages are charged to its account. A browser
opens its message stream right after it sends an event, and its account is cleared as soon as it
fetches a message. Each account has a limit. When all accounts together are too large, the oldest
is dropped, and so is one that stays open for too long: gradio forgets the session, its messages and
its answers. So an ordinary reader is never refused because of others.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MAX_EVENTS = 64
"""unfetched events per session; a person never has more than a few"""
MAX_BYTES = 16_000_000
"""unfetched request bytes per session; the longest chat is a quarter of this"""
MAX_TOTAL_BYTES = 48_000_000
EVENT_BYTES = 20_000
"""base cost of an event: all texts of the page"""
PATIENCE_S = 60.0
"""seconds until an account is dropped; gradio sends each stream a heartbeat every 15 s"""


@dataclass
class _Account:
    n_events: int
    n_bytes: int
    expiry: asyncio.TimerHandle


class Sessions:
    """The accounts of events whose messages are not fetched yet; all in one event loop."""

    def __init__(
        self, forget: Callable[[str], Awaitable[None]], patience_s: float = PATIENCE_S
    ) -> None:
        """`forget(session)` frees everything that gradio holds for a session."""
        self._forget = forget
        self._patience_s = patience_s
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._total = 0
        self._forgetting: set[asyncio.Future[None]] = set()

    def may_ask(self, session: str, n_bytes: int) -> bool:
        """Charge an event to the session's account; return False if it must be refused."""
        account = self._accounts.get(session)
        if account is None:
            loop = asyncio.get_running_loop()
            expiry = loop.call_later(self._patience_s, self.give_up, session)
            account = self._accounts[session] = _Account(0, 0, expiry)
        cost = n_bytes + EVENT_BYTES
        if account.n_events >= MAX_EVENTS or account.n_bytes + cost > MAX_BYTES:
            return False
        account.n_events += 1
        account.n_bytes += cost
        self._total += cost
        while self._total > MAX_TOTAL_BYTES:
            self.give_up(next(other for other in self._accounts if other != session))
        return True

    def clear(self, session: str) -> None:
        """Clear the account of a session that has fetched a message."""
        if account := self._accounts.pop(session, None):
            account.expiry.cancel()
            self._total -= account.n_bytes

    def give_up(self, session: str) -> None:
        """Drop a session that fetches nothing and free what gradio holds for it."""
        self.clear(session)
        task = asyncio.ensure_future(self._forget(session))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)
