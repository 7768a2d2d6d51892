"""The time of a step on each rank: sampling, learning, and waiting for the other ranks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from r1kit.model.ranks import Ranks

Activity = Literal["sample", "learn"]
SLOWEST = "time/slowest_rank"


class StepClock:
    """Attributes the seconds of a step to activities; it starts when it is made."""

    def __init__(self, ranks: Ranks, clock: Callable[[], float] = time.perf_counter) -> None:
        self._ranks, self._clock = ranks, clock
        self._started = self._last = clock()
        self._waited_before = self._waited = ranks.waiting.seconds
        self._seconds: dict[Activity, float] = {}

    def end(self, activity: Activity) -> float:
        """End an activity that has begun with the end of the last one, or with the step.

        Returns its seconds. Those in collective operations count as waiting.
        """
        now, waited = self._clock(), self._ranks.waiting.seconds
        seconds = now - self._last
        own = seconds - (waited - self._waited)
        self._seconds[activity] = self._seconds.get(activity, 0.0) + own
        self._last, self._waited = now, waited
        return seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the clock started."""
        return self._clock() - self._started

    def shares(self) -> dict[str, float]:
        """Return the shares of the step up to now; call it on every rank, at the end of the step.

        They are means over the ranks and, if there are several, also those of each rank, with the
        number of the slowest: the rank that waits least for the others.
        """
        elapsed = self.elapsed
        own = {f"{activity}_share": s / elapsed for activity, s in self._seconds.items()}
        n = self._ranks.size
        if n == 1:
            return {f"time/{name}": share for name, share in own.items()}
        own["wait_share"] = (self._ranks.waiting.seconds - self._waited_before) / elapsed
        ranks = self._ranks.gather(own)
        shares = {f"time/{name}": sum(rank[name] for rank in ranks) / n for name in own}
        for index, rank in enumerate(ranks):
            shares |= {f"time/rank_{index}/{name}": share for name, share in rank.items()}
        slowest = min(range(n), key=lambda index: ranks[index]["wait_share"])
        return shares | {SLOWEST: float(slowest)}
