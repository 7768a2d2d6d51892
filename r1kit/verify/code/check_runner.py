"""Run test code such as HumanEval's `check(candidate)` in a process without the candidate.

Test code contains the correct answers, so the candidate must not share its process. The test code
runs alone in the sandbox, at least twice, with a stub as its `candidate`:

1. Recording: assertions are ignored, and the stub records the calls. It returns an object that
   supports every operation.
2. The candidate executes these calls in a separate process (calls.py).
3. The stub returns the recorded results, and the assertions decide. If there is a new call (its
   arguments depend on earlier results), the recording is repeated with the results known so far.

Only data passes between the processes. Lists, dictionaries and sets that a call without a result
changes in place are changed for the test code too. Departures: changes by a call with a result are
not seen, because `assert candidate(a) == sorted(a)` would pay for an emptied list; functions cannot
be arguments or results.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from r1kit.files.untrusted import read_json
from r1kit.verify.code import values
from r1kit.verify.code.calls import NO_TIME, EncodedArgs, Result, call, why
from r1kit.verify.code.environment import Submission
from r1kit.verify.code.tests import CheckTest
from r1kit.verify.sandbox import Job, Limits, Sandbox, mentioned

MAX_ROUNDS = 32
"""maximum number of rounds of calls whose arguments depend on earlier results"""
MAX_CALLS = 10_000
LIMITS = Limits(wall_s=20.0, cpu_s=20.0, memory_mb=1024, output_bytes=1 << 25)
"""limits of the test code, which may be slow"""

_CHECKER = (
    values.BEGIN
    + '''
import ast, builtins, collections, itertools, math, random, re, traceback

_LIBRARY = ("collections", "itertools", "math", "random", "re", "sys")
# Assertions of MBPP use what their solution imports.


class Agreeable:
    """Answers True to every comparison and supports every operation."""
    def _self(self, *args, **kwargs):
        return self
    def _yes(self, *args):
        return True
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = _yes
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _self
    __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = _self
    __and__ = __or__ = __xor__ = __neg__ = __pos__ = __abs__ = __round__ = _self
    __getitem__ = __call__ = __getattr__ = _self
    __len__ = __int__ = __index__ = lambda self: 0
    __float__ = lambda self: 0.0
    __str__ = __repr__ = lambda self: ""
    __iter__ = lambda self: iter(())
    __hash__ = lambda self: 0


class _NotData(BaseException):
    pass


def _plain(coded):
    if type(coded) is list and coded[0] == "other":
        raise _NotData(coded[1])
    if type(coded) is list and isinstance(coded[1], list):
        for item in coded[1]:
            for part in (item if coded[0] == "dict" else [item]):
                _plain(part)
    return coded


class _Rehearsal(ast.NodeTransformer):
    """Replaces every assertion by an evaluation that cannot fail."""
    def visit_Assert(self, node):
        body = [ast.copy_location(ast.Expr(node.test), node)]
        nothing = ast.copy_location(ast.Pass(), node)
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [nothing])
        return ast.copy_location(ast.Try(body, [handler], [], []), node)


def _replace(target, value):
    """Give a mutable argument the contents that the candidate has given it."""
    if type(target) in (list, bytearray):
        target[:] = value
    elif type(target) in (dict, set, collections.deque):
        target.clear()
        (target.extend if type(target) is collections.deque else target.update)(value)


_calls, _missing, _results = [], [False], {}
for _args, _result in reversed(_request["results"]):
    _results.setdefault(json.dumps(_args), []).append(_result)


def candidate(*args, **kwargs):
    try:
        arguments = [[_plain(encode(arg)) for arg in args],
                     {name: _plain(encode(arg)) for name, arg in kwargs.items()}]
    except _NotData:
        if _request["is_rehearsal"] or _missing[0]:  # they depend on a result that is missing
            return Agreeable()
        raise
    if len(_calls) >= _request["max_calls"]:
        raise _NotData("too many calls")
    _calls.append(arguments)
    results = _results.get(json.dumps(arguments))
    if results is None:
        _missing[0] = True
        return Agreeable()
    result = results.pop() if len(results) > 1 else results[0]
    for index, coded in result.get("changed", {}).items():  # only of calls that return nothing
        _replace(args[int(index)], decode(coded))
    if "exception" in result:
        kind = getattr(builtins, str(result["exception"]), None)
        is_error = isinstance(kind, type) and issubclass(kind, Exception)
        raise (kind if is_error else RuntimeError)("the candidate raised it")
    return decode(result["value"])


def _main():
    random.seed(0)  # the same calls every time
    module = {"__name__": "tests", "__builtins__": __builtins__}
    module.update((name, sys.modules[name]) for name in _LIBRARY)
    module[_request["entry_point"]] = candidate
    tree = ast.parse(_request["code"])
    if _request["is_rehearsal"]:
        tree = ast.fix_missing_locations(_Rehearsal().visit(tree))
    code, failure, fault = compile(tree, "tests.py", "exec"), None, None
    try:
        exec(code, module)
        if module.get("check", candidate) is not candidate:
            module["check"](candidate)
    except _NotData as error:
        fault = "data cannot say " + str(error)
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == "tests.py"]
        lines = _request["code"].split("\\n")
        location = lines[frames[-1].lineno - 1].strip()[:200] if frames else ""
        failure = type(error).__name__ + " at: " + location
    if not _calls and not fault:
        fault = failure or "it calls nothing"
    _out.write(json.dumps({"calls": _calls, "missing": _missing[0],
                           "failure": failure, "fault": fault}) + "\\n")
    _out.flush()

_main()
'''
)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of the test code."""

    passed: bool | None
    """None if the test code, not the candidate, is at fault"""
    why: str


class _FaultError(Exception):
    """The test code cannot be run; the message says why in a phrase."""


def run_check(submission: Submission, test: CheckTest, deadline: float) -> CheckResult:
    """Test the program's function with the test code."""
    try:
        packages = mentioned(test.check, submission.program)
        calls = _first_calls(submission.sandbox, test, packages)
        for _ in range(MAX_ROUNDS):
            results = call(submission, test.entry_point, calls, deadline, sees_changes=True)
            errors = [r for r in results if r.error and r.exception is None]
            if errors:
                return CheckResult(
                    None if errors[0].is_graders_fault else False, errors[0].error or ""
                )
            call_results = list(zip(calls, results, strict=True))
            reply = _run(submission.sandbox, test, packages, call_results, is_rehearsal=False)
            if not reply["missing"]:
                return CheckResult(reply["failure"] is None, reply["failure"] or "passes")
            reply = _run(submission.sandbox, test, packages, call_results, is_rehearsal=True)
            calls = reply["calls"]
            if time.monotonic() > deadline:
                return CheckResult(False, NO_TIME)
    except _FaultError as error:
        return CheckResult(None, str(error))
    return CheckResult(None, f"its calls depend on results more than {MAX_ROUNDS} times over")


@lru_cache(maxsize=512)  # the completions of a group share their tests
def _first_calls(sandbox: Sandbox, test: CheckTest, packages: tuple[str, ...]) -> list[EncodedArgs]:
    calls: list[EncodedArgs] = _run(sandbox, test, packages, [], is_rehearsal=True)["calls"]
    return calls


def _run(
    sandbox: Sandbox,
    test: CheckTest,
    packages: tuple[str, ...],
    call_results: list[tuple[EncodedArgs, Result]],
    *,
    is_rehearsal: bool,
) -> dict[str, Any]:
    """Run the test code with a stub that returns the known results.

    Test code that ran in the rehearsal and dies with the real results fails because of them.
    """
    request = {
        "code": test.check,
        "entry_point": test.entry_point,
        "results": [[args, _as_row(result)] for args, result in call_results],
        "is_rehearsal": is_rehearsal,
        "max_calls": MAX_CALLS,
    }
    stdin = json.dumps(request).encode()
    ending = sandbox.run(Job(_CHECKER, stdin, LIMITS, packages=packages))
    try:
        reply: dict[str, Any] = read_json(ending.stdout)
        if {*reply} != {"calls", "missing", "failure", "fault"} or type(reply["calls"]) is not list:
            raise ValueError("not a reply")
    except (ValueError, TypeError):
        if is_rehearsal or ending.how == "sandbox":
            raise _FaultError(f"the test code {why(ending)}") from None
        return {"missing": False, "failure": f"given its results, the test code {why(ending)}"}
    if reply["fault"]:
        raise _FaultError(f"the test code cannot be run apart: {reply['fault']}")
    return reply


def _as_row(result: Result) -> dict[str, Any]:
    if result.exception:
        return {"exception": result.exception}
    return {"value": result.value, "changed": result.changed}
