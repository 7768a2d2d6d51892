"""Code verifier: runs a program against tests in the sandbox and decides outside it.

Source: the test formats of LiveCodeBench, HumanEval and Codeforces, without the faults of their
graders (measured in docs/verifiers.md): the candidate never shares a process with an expected
output, its results arrive as data, and failures are attributed: a broken test, checker or sandbox
makes the verdict undecided, never wrong.
"""

from __future__ import annotations

import atexit
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from r1kit.files.untrusted import is_text
from r1kit.types import Verdict
from r1kit.verify.code import output, values
from r1kit.verify.code.calls import MAX_RESULT_CHARS, NO_TIME, EncodedArgs, Result, call, why
from r1kit.verify.code.check_runner import run_check
from r1kit.verify.code.environment import LEETCODE, Submission, is_leetcode
from r1kit.verify.code.extract import MAX_PROGRAM_CHARS, extract_program, with_signature
from r1kit.verify.code.output import CompareRule
from r1kit.verify.code.tests import CallTest, CheckTest, StdioTest, Test, read
from r1kit.verify.sandbox import Job, Limits, RunResult, Sandbox, mentioned

__all__ = [
    "LEETCODE",
    "CallTest",
    "CheckTest",
    "CompareRule",
    "StdioTest",
    "Test",
    "TestReport",
    "TestResult",
    "check_code",
    "default_sandbox",
    "extract_program",
    "read",
    "with_signature",
]

LIMITS = Limits(wall_s=20.0, cpu_s=5.0)
"""default limits of a run; the clock only ends programs that sleep, also on a busy machine"""
TOTAL_S = 60.0
"""seconds for all tests of a program together"""
MAX_PARALLEL = 8
"""tests of one program that run at the same time"""


@dataclass(frozen=True, slots=True)
class TestResult:
    """A test result: `TestResult(False, "returns 8, not 7")`; None if the grader failed."""

    passed: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class TestReport:
    """The results of testing a program."""

    results: tuple[TestResult, ...]
    """results in the order of the tests, up to the first failing run unless `run_all` was set"""
    n_tests: int

    @property
    def score(self) -> float | None:
        """The share of the tests that passed; None if the grader failed on one."""
        if any(result.passed is None for result in self.results):
            return None
        return sum(bool(result.passed) for result in self.results) / self.n_tests

    @property
    def first_failure(self) -> int | None:
        """The index of the first test that did not pass."""
        indices = (index for index, result in enumerate(self.results) if not result.passed)
        return next(indices, None)

    def verdict(self, program: str) -> Verdict:
        """Return "correct" if all tests passed, "undecided" if a grader failure came first."""
        index = self.first_failure
        if index is None:
            return Verdict(True, program, f"passes {self.n_tests} of {self.n_tests} tests")
        result = self.results[index]
        return Verdict(result.passed, program, f"test {index}: {result.why}")


def check_code(
    program: str,
    tests: Sequence[Test],
    sandbox: Sandbox,
    limits: Limits | None = None,
    *,
    preamble: str = "",
    total_s: float = TOTAL_S,
    run_all: bool = False,
) -> TestReport:
    """Test a program; `limits` apply to each run (one test, or one series of calls).

    `preamble` is source that runs before the program; an answer to a problem of LeetCode has its
    preamble by default. Stops after the first run with a failure, unless `run_all` is set (for
    partial scores). Runs after the first one use all workers of the sandbox. Raises ValueError if
    there are no tests.
    """
    if not tests:
        raise ValueError("a program without tests cannot be judged")
    if len(program) > MAX_PROGRAM_CHARS:
        failure = TestResult(False, f"the program is longer than {MAX_PROGRAM_CHARS} characters")
        return TestReport((failure,), len(tests))
    submission = Submission(program.removeprefix("\ufeff"), sandbox, limits or LIMITS, preamble)
    run = _Run(submission, time.monotonic() + total_s)
    groups = _groups(tests)
    results: list[TestResult] = []
    for batch in _batches(groups, min(sandbox.n_workers, MAX_PARALLEL)):
        for group_results in _in_parallel(run.tests, batch):
            results += group_results
            if not run_all and not all(result.passed for result in group_results):
                return TestReport(tuple(results), len(tests))
    return TestReport(tuple(results), len(tests))


def _batches(groups: Sequence[list[Test]], size: int) -> Iterator[Sequence[list[Test]]]:
    """Yield the first group alone, because most wrong programs fail it; then `size` at a time."""
    yield groups[:1]
    for start in range(1, len(groups), size):
        yield groups[start : start + size]


def _in_parallel(
    run: Callable[[list[Test]], list[TestResult]], groups: Sequence[list[Test]]
) -> list[list[TestResult]]:
    if len(groups) == 1:
        return [run(groups[0])]
    with ThreadPoolExecutor(len(groups)) as threads:
        return list(threads.map(run, groups))


@dataclass(frozen=True, slots=True)
class _Run:
    """A program under test, and when its time is over."""

    submission: Submission
    deadline: float

    def tests(self, tests: Sequence[Test]) -> list[TestResult]:
        """Run tests of one kind and return their results."""
        first = tests[0]
        if time.monotonic() > self.deadline:
            return [TestResult(False, NO_TIME)] * len(tests)
        if isinstance(first, CallTest):
            return self._calls([test for test in tests if isinstance(test, CallTest)])
        if isinstance(first, CheckTest):
            outcome = run_check(self.submission, first, self.deadline)
            return [TestResult(outcome.passed, outcome.why)]
        return [self._stdio(first)]

    def _calls(self, tests: Sequence[CallTest]) -> list[TestResult]:
        calls: list[EncodedArgs] = [
            ([values.encoded(arg) for arg in test.args], {}) for test in tests
        ]
        expected = [values.encoded(test.expected) for test in tests]
        longest = max(len(json.dumps(value)) for value in expected)
        max_chars = min(MAX_RESULT_CHARS, (1 << 20) + 16 * longest)
        submission = self.submission
        if not submission.preamble and is_leetcode(submission.program):
            submission = replace(submission, preamble=LEETCODE)
        results = call(submission, tests[0].function, calls, self.deadline, max_chars=max_chars)
        if _is_in_place(results):
            results = [
                result if value is None else replace(result, value=result.changed.get("0", args[0]))
                for result, (args, _), value in zip(results, calls, expected, strict=True)
            ]
        return list(map(_call_result, tests, results, expected))

    def _stdio(self, test: StdioTest) -> TestResult:
        if not is_text(f"{test.stdin}{test.stdout}{test.checker}"):
            return TestResult(None, "the test has half of a surrogate pair, which is no text")
        limits = self.submission.limits
        if test.checker is None:  # much more output than expected cannot be right
            n_bytes = min(limits.output_bytes, (1 << 20) + 16 * len(test.stdout))
            limits = replace(limits, output_bytes=n_bytes)
        ending = self.submission.run(test.stdin.encode(), limits)
        if ending.how == "sandbox":
            return TestResult(None, "the sandbox failed")
        if ending.how != "exit" or ending.code:
            return TestResult(False, why(ending))
        try:
            stdout = ending.stdout.decode()
        except UnicodeDecodeError:
            return TestResult(False, "writes bytes that are not UTF-8")
        if test.checker is not None:
            return self._checked_stdio(test, stdout)
        if output.same_output(stdout, test.stdout, test.compare, test.tolerance):
            return TestResult(True, "equal")
        difference = output.first_difference(stdout, test.stdout, test.compare, test.tolerance)
        return TestResult(False, difference)

    def _checked_stdio(self, test: StdioTest, stdout: str) -> TestResult:
        """Run the test's own checker, also in the sandbox, and return its result.

        A checker that fails on this output, but accepts the expected one, fails because of it.
        """
        ending = self._checker(test, stdout)
        score = _printed_score(ending)
        if score is not None:
            return TestResult(score >= 1.0, f"its checker says {score:g}")
        is_sound = ending.how != "sandbox" and _printed_score(self._checker(test, test.stdout)) == 1
        return TestResult(False if is_sound else None, f"the checker {why(ending)}")

    def _checker(self, test: StdioTest, stdout: str) -> RunResult:
        assert test.checker is not None
        names = ("input.txt", "answer.txt", "output.txt")
        files = dict(zip(names, (test.stdin, test.stdout, stdout), strict=True))
        contents = {name: text.encode() for name, text in files.items()}
        disk_mb = self.submission.limits.disk_mb + (sum(map(len, contents.values())) >> 20)
        return self.submission.sandbox.run(
            Job(
                test.checker,
                limits=replace(self.submission.limits, disk_mb=disk_mb),
                files=contents,
                arguments=names,
                packages=mentioned(test.checker),
            )
        )


def _call_result(test: CallTest, result: Result, expected: Any) -> TestResult:
    same = values.same_in_any_order if test.compare == "any_order" else values.same
    if result.error is not None:
        return TestResult(None if result.is_graders_fault else False, result.error)
    if same(result.value, expected):
        return TestResult(True, "equal")
    message = f"returns {values.display(result.value)}, not {values.display(expected)}"
    return TestResult(False, message)


def _is_in_place(results: Sequence[Result]) -> bool:
    """Return True for calls that return nothing and change their first argument at least once."""
    has_none = all(result.error is None and result.value is None for result in results)
    return has_none and any("0" in result.changed for result in results)


def _printed_score(ending: RunResult) -> float | None:
    """Return the score that a checker printed, from 0 to 1; None if it is invalid."""
    words = ending.stdout[:1000].decode("utf-8", "replace").split()
    try:
        score = float(words[-1]) if words and ending.how == "exit" and not ending.code else -1.0
    except ValueError:
        return None
    return score if 0 <= score <= 1 else None


def _groups(tests: Sequence[Test]) -> list[list[Test]]:
    """Group consecutive calls of one function, which share a process; other tests run alone."""
    series: list[list[Test]] = []
    for test in tests:
        previous = series[-1][-1] if series else None
        is_next = isinstance(test, CallTest) and isinstance(previous, CallTest)
        if is_next and test.function == previous.function:  # type: ignore[union-attr]
            series[-1].append(test)
        else:
            series.append([test])
    return series


@cache
def default_sandbox() -> Sandbox:
    """Return the sandbox of this process, opened on first use and closed at exit."""
    sandbox = Sandbox().__enter__()
    atexit.register(sandbox.__exit__, None, None, None)
    return sandbox
