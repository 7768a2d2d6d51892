"""Whoever asks the page for something must listen: what nobody hears would pile up here.

gradio keeps the messages of an event until its session has read them, without a limit. A browser
opens the stream of its messages as soon as it has asked for something. So a session that does not
listen may ask a few times, and only few such sessions may be there at once.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MOST_UNHEARD = 12
"""events of a session that does not listen; a page that opens asks for four"""
MOST_SESSIONS = 64
"""sessions that do not listen yet"""
MOST_PER_MINUTE = 240
"""events of one session"""
PATIENCE_S = 60.0
"""after which a session that never listened is forgotten, and counted anew"""


class Sessions:
    """Who listens, and who may ask; all in one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._listening: Counter[str] = Counter()
        self._asked: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """session → since when, and how many events"""

    def may_ask(self, session: str) -> bool:
        """Counts an event of a session; False if it is to be refused."""
        now = self._clock()
        while self._asked and now - next(iter(self._asked.values()))[0] > PATIENCE_S:
            self._asked.popitem(last=False)
        since, n = self._asked.get(session, (now, 0))
        hears = session in self._listening
        if n >= (MOST_PER_MINUTE if hears else MOST_UNHEARD):
            return False
        if not hears and n == 0 and self._n_unheard() >= MOST_SESSIONS:
            return False
        self._asked[session] = since, n + 1
        return True

    @contextmanager
    def listening(self, session: str) -> Iterator[None]:
        """While its stream is open."""
        self._listening[session] += 1
        try:
            yield
        finally:
            self._listening[session] -= 1
            if not self._listening[session]:
                del self._listening[session]

    def _n_unheard(self) -> int:
        return sum(session not in self._listening for session in self._asked)
