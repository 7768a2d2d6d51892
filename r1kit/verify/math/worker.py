"""The Math-Verify worker process; it is run as a file and imports nothing from r1kit.

Requests and replies are JSON with a length prefix (4 bytes, big-endian) on stdin and stdout:
`{"gold": "2^n", "answer": "2 * 2^{n-1}", "limit_s": 2}` → `{"same": true, "why": "..."}`.
The pool kills a late worker. If the pool is gone, the worker detects that its stdin has no writer
left and exits at once, even in the middle of a comparison. An alarm ends a worker that is stuck in
native code after `limit_s` seconds of CPU time.

Departures from Math-Verify's defaults: only its LaTeX parser (its parser of plain expressions runs
them as Python), a single formula instead of a text, none of its alarms, twelve digits instead of
six in the comparison of decimals.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import sys
import threading
from typing import Any, BinaryIO

MEMORY_BYTES = 2 << 30
"""limit of the address space; sympy needs a tenth of it"""
DIGITS = 12
FIRST = ("\\tan x", "\\frac{\\sin x}{\\cos x}")
"""A warm-up comparison: a worker's first one takes ten times as long as later ones."""


def main() -> None:
    """Answer questions until stdin ends. The first message announces that the worker is ready."""
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # prints go to stderr and cannot break the protocol
    for limit, value in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (value, value))
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    logging.disable()
    compare(*FIRST)
    _send(answers, {"ready": True})
    while (question := _receive(questions)) is not None:
        signal.setitimer(signal.ITIMER_PROF, question["limit_s"])
        try:
            answer = compare(question["gold"], question["answer"])
        except MemoryError:
            answer = {"same": None, "why": "limit: memory"}
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(answers, answer)


def _end_with_stdin() -> None:
    poll = select.poll()
    poll.register(0, 0)
    poll.poll()
    os._exit(0)


def compare(gold: str, answer: str) -> dict[str, bool | str | None]:
    """Compare two formulas: they are the same if Math-Verify agrees in both directions."""
    gold_values, answer_values = _read(gold), _read(answer)
    if not gold_values:
        return {"same": None, "why": "the gold answer cannot be read"}
    if not answer_values:
        return {"same": False, "why": "the answer cannot be read"}
    same = _verify(gold_values, answer_values) and _verify(answer_values, gold_values)
    return {"same": same, "why": f"Math-Verify: {'the same' if same else 'not the same'}"}


def _read(formula: str) -> list[object]:
    from math_verify import LatexExtractionConfig, parse

    values = parse(
        f"$\\boxed{{{formula}}}$",
        [LatexExtractionConfig(boxed_match_priority=0)],
        fallback_mode="no_fallback",
        parsing_timeout=None,
    )
    return list(values)


def _verify(gold: list[object], answer: list[object]) -> bool:
    from math_verify import verify

    return bool(
        verify(
            gold,
            answer,
            float_rounding=DIGITS,
            numeric_precision=2 * DIGITS,
            allow_set_relation_comp=True,
            timeout_seconds=None,
        )
    )


def _receive(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    body = stream.read(int.from_bytes(head, "big"))
    return dict(json.loads(body))


def _send(stream: BinaryIO, message: object) -> None:
    body = json.dumps(message).encode()
    stream.write(len(body).to_bytes(4, "big") + body)
    stream.flush()


if __name__ == "__main__":
    main()
