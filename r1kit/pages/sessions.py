"""What nobody fetches must not fill the memory: gradio keeps messages until they are read.

A browser opens the stream of its messages right after it has asked for something, and is then heard
from: its account is settled. What a session asks for and does not fetch is on its account. A single
session may have only so much on it; when all accounts together come to too much, and when one has
been open for too long, the oldest is given up: gradio forgets the session, its messages and its
answers. So an ordinary reader is never refused because of others.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MAX_EVENTS = 64
"""of one session; a person never has more than a few"""
MAX_BYTES = 16_000_000
"""of one session's requests; the longest chat is a quarter of this"""
MAX_TOTAL_BYTES = 48_000_000
EVENT_BYTES = 20_000
"""what an event costs in any case: every word of the page"""
PATIENCE_S = 60.0
"""gradio sends a sign of life every 15 s to whoever listens"""


@dataclass
class _Account:
    n_events: int
    n_bytes: int
    expiry: asyncio.TimerHandle


class Sessions:
    """Accounts of what was asked and not yet fetched; all in one event loop."""

    def __init__(
        self, forget: Callable[[str], Awaitable[None]], patience_s: float = PATIENCE_S
    ) -> None:
        """`forget(session)` frees all that gradio holds for it."""
        self._forget = forget
        self._patience_s = patience_s
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._total = 0
        self._forgetting: set[asyncio.Future[None]] = set()

    def may_ask(self, session: str, n_bytes: int) -> bool:
        """Puts an event on the session's account; False if it is to be refused."""
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
            self.give_up(next(one for one in self._accounts if one != session))
        return True

    def heard(self, session: str) -> None:
        """It has fetched a message."""
        if account := self._accounts.pop(session, None):
            account.expiry.cancel()
            self._total -= account.n_bytes

    def give_up(self, session: str) -> None:
        """It fetches nothing: nothing is kept for it any more."""
        self.heard(session)
        task = asyncio.ensure_future(self._forget(session))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)
