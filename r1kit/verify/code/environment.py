"""What a candidate finds around it: the names, packages and limits that its source promises.

A problem of LeetCode starts with `class Solution`, whose answers use the modules of Python's
library without importing them, and recurse deeply. A contest on stdin promises nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from r1kit.verify.sandbox import Job, Limits, RunResult, Sandbox, mentioned

_MODULES = (
    *("array", "bisect", "collections", "copy", "datetime", "functools", "heapq", "itertools"),
    *("math", "operator", "random", "re", "statistics", "string", "typing"),
)
LEETCODE = "\n".join(
    [
        *(f"from {name} import *" for name in _MODULES),
        *("from builtins import *", "import io, json, sys", f"import {', '.join(_MODULES)}"),
        "sys.setrecursionlimit(550_000)\n",
    ]
)
"""the beginning of every program on LeetCode; LiveCodeBench's grader uses nearly the same"""
_SOLUTION = re.compile(r"^class Solution\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Submission:
    """A program under test, where it runs, and what is there before its first line."""

    program: str
    sandbox: Sandbox
    limits: Limits
    preamble: str = ""

    def run(self, stdin: bytes, limits: Limits | None = None) -> RunResult:
        """Run the program with this input."""
        limits = limits or self.limits
        packages = mentioned(self.program)
        job = Job(self.program, stdin, limits, preamble=self.preamble, packages=packages)
        return self.sandbox.run(job)

    def run_caller(self, caller: str, request: Mapping[str, object]) -> RunResult:
        """Run a program of r1kit that reads the request with the candidate, and executes it."""
        request = {"program": self.program, "preamble": self.preamble, **request}
        stdin = json.dumps(request).encode()
        return self.sandbox.run(Job(caller, stdin, self.limits, packages=mentioned(self.program)))


def is_leetcode(program: str) -> bool:
    """Return True if a program answers a problem of LeetCode."""
    return bool(_SOLUTION.search(program))
