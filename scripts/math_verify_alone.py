"""A worker for the lab that calls Math-Verify as its README shows, with all defaults.

It uses the protocol of r1kit/verify/math/worker.py; `why` is the time taken, in milliseconds.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

WORKER = Path(__file__).parents[1] / "r1kit" / "verify" / "math" / "worker.py"


def compare(gold: str, answer: str) -> dict[str, bool | str | None]:
    """Compare the whole text with the gold answer; text that cannot be parsed counts as wrong."""
    import math_verify

    start = time.perf_counter()
    try:
        same = math_verify.verify(
            math_verify.parse(f"\\boxed{{{gold}}}"), math_verify.parse(answer)
        )
    except Exception:
        same = None
    return {"same": same, "why": f"{(time.perf_counter() - start) * 1000:.3f}"}


if __name__ == "__main__":
    module = runpy.run_path(str(WORKER), run_name="worker")
    module["main"].__globals__["compare"] = compare
    sys.exit(module["main"]())
