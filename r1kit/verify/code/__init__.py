"""Code verifier: runs a program against tests in the sandbox and decides outside it.

Source: the test formats of LiveCodeBench, HumanEval and Codeforces, without the faults of their
graders (measured in docs/verifiers.md): the candidate never shares a process with an expected
output, its results arrive as data, and failures are attributed: a broken test, checker or sandbox
makes the verdict undecided, never wrong.
"""

from __future__ import annotations

import atexit
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from r1kit.files.untrusted import is_text
from r1kit.types import Verdict
from r1kit.verify.code import output, values
from r1kit.verify.code.calls import NO_TIME, EncodedArgs, call, why
from r1kit.verify.code.check_runner import run_check
from r1kit.verify.code.tests import CallTest, CheckTest, StdioTest, Test, read
from r1kit.verify.sandbox import Job, Limits, RunResult, Sandbox

__all__ = [
    "CallTest",
    "CheckTest",
    "StdioTest",
    "Test",
    "TestReport",
    "TestResult",
    "check_code",
    "default_sandbox",
    "extract_program",
    "read",
]

MAX_PROGRAM_CHARS = 200_000
TOTAL_S = 60.0
"""seconds for all tests of a program together"""

_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n]*\n", re.MULTILINE)
_PYTHON = {"", "python", "py", "python3"}


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
    total_s: float = TOTAL_S,
    run_all: bool = False,
) -> TestReport:
    """Test a program; `limits` apply to each run (one test, or one series of calls).

    Stops after the first run with a failure, unless `run_all` is set (for partial scores).
    Raises ValueError if there are no tests.
    """
    if not tests:
        raise ValueError("a program without tests cannot be judged")
    if len(program) > MAX_PROGRAM_CHARS:
        failure = TestResult(False, f"the program is longer than {MAX_PROGRAM_CHARS} characters")
        return TestReport((failure,), len(tests))
    deadline = time.monotonic() + total_s
    run = _Run(program, sandbox, limits or Limits(), deadline)
    results: list[TestResult] = []
    for group in _groups(tests):
        if time.monotonic() > deadline:
            results += [TestResult(False, NO_TIME)] * len(group)
        else:
            results += run.tests(group)
        if not run_all and not all(result.passed for result in results):
            break
    return TestReport(tuple(results), len(tests))


@dataclass(frozen=True, slots=True)
class _Run:
    """A program under test."""

    program: str
    sandbox: Sandbox
    limits: Limits
    deadline: float

    def tests(self, tests: Sequence[Test]) -> list[TestResult]:
        """Run tests of one kind and return their results."""
        first = tests[0]
        if isinstance(first, CallTest):
            return self._calls([test for test in tests if isinstance(test, CallTest)])
        if isinstance(first, CheckTest):
            outcome = run_check(self.sandbox, self.program, first, self.limits, self.deadline)
            return [TestResult(outcome.passed, outcome.why)]
        return [self._stdio(first)]

    def _calls(self, tests: Sequence[CallTest]) -> list[TestResult]:
        calls: list[EncodedArgs] = [
            ([values.encoded(arg) for arg in test.args], {}) for test in tests
        ]
        call_results = call(
            self.sandbox, self.program, tests[0].function, calls, self.limits, self.deadline
        )
        results = []
        for test, result in zip(tests, call_results, strict=True):
            expected = values.encoded(test.expected)
            if result.error is not None:
                passed = None if result.is_graders_fault else False
                results.append(TestResult(passed, result.error))
            elif values.same(result.value, expected):
                results.append(TestResult(True, "equal"))
            else:
                message = f"returns {values.display(result.value)}, not {values.display(expected)}"
                results.append(TestResult(False, message))
        return results

    def _stdio(self, test: StdioTest) -> TestResult:
        if not is_text(f"{test.stdin}{test.stdout}{test.checker}"):
            return TestResult(None, "the test has half of a surrogate pair, which is no text")
        ending = self.sandbox.run(Job(self.program, test.stdin.encode(), self.limits))
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
        if output.same_output(stdout, test.stdout):
            return TestResult(True, "equal")
        return TestResult(False, output.first_difference(stdout, test.stdout))

    def _checked_stdio(self, test: StdioTest, stdout: str) -> TestResult:
        """Run the test's own checker, also in the sandbox, and return its result."""
        assert test.checker is not None
        names = ("input.txt", "answer.txt", "output.txt")
        files = dict(zip(names, (test.stdin, test.stdout, stdout), strict=True))
        program = f"import sys; sys.argv[1:] = {list(names)!r}\n{test.checker}"
        contents = {name: text.encode() for name, text in files.items()}
        ending = self.sandbox.run(Job(program, limits=self.limits, files=contents))
        score = _printed_score(ending)
        if score is None:
            return TestResult(None, f"the checker {why(ending)}")
        return TestResult(score >= 1.0, f"its checker says {score:g}")


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


def extract_program(text: str) -> str | None:
    """Return the program in an answer: its last fenced Python block, closed or cut off at the end.

    A text without any fence counts as a program if a line starts like Python code. None if there is
    no program.
    """
    blocks, position = [], 0
    while opening := _FENCE.search(text, position):
        fence, language = opening[1], opening[2].lower()
        closing = re.compile(rf"^[ \t]{{0,3}}{re.escape(fence)}[ \t]*$", re.MULTILINE)
        end = closing.search(text, opening.end())
        if language in _PYTHON:
            blocks.append(text[opening.end() : end.start() if end else len(text)])
        position = end.end() if end else len(text)
    blocks = [block for block in blocks if block.strip()]
    if blocks:
        return blocks[-1]
    code_line = re.search(r"^(?:def|class|import|from|print\()", text, re.MULTILINE)
    return text.strip() if code_line and not _FENCE.search(text) else None


@cache
def default_sandbox() -> Sandbox:
    """Return the sandbox of this process, opened on first use and closed at exit."""
    sandbox = Sandbox().__enter__()
    atexit.register(sandbox.__exit__, None, None, None)
    return sandbox
