"""Call a candidate's function in the sandbox and return its results as data.

The calling program reads the arguments from stdin, runs the candidate's source as a separate
module, calls the function, and writes one line per call. That process holds no expected values. The
candidate may print (to stderr, which is ignored), patch anything or exit early: then a line is
missing, and the current call counts as failed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from r1kit.verify.code import values
from r1kit.verify.code.environment import Submission
from r1kit.verify.sandbox import RunResult

EncodedArgs = tuple[list[Any], dict[str, Any]]
"""encoded positional and named arguments"""

MAX_RESULT_CHARS = 1 << 24
"""length of a result as JSON, which takes about ten times as much memory here"""
NO_TIME = "its tests together take too long"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a call: a value, or the reason why there is none."""

    value: Any = None
    """the encoded return value; also None if there is an error"""
    changed: dict[str, Any] = field(default_factory=dict)
    """encoded arguments that a call without a result has changed in place, by index"""
    error: str | None = None
    """a readable phrase"""
    exception: str | None = None
    """name of the exception type, if the candidate raised one"""
    is_graders_fault: bool = False


_CALLER = (
    values.BEGIN
    + """
import types


def _module(name):
    # A name of the preamble is no function of the program.
    module = sys.modules["candidate"] = types.ModuleType("candidate")
    scope = vars(module)
    exec(compile(_request["preamble"], "preamble.py", "exec", dont_inherit=True), scope)
    imported = scope.pop(name, None)
    exec(compile(_request["program"], "candidate.py", "exec", dont_inherit=True), scope)
    own = {key: scope[key] for key in (name, "Solution") if key in scope}
    if imported is not None:
        scope.setdefault(name, imported)
    return own


def _function(module, name):
    if hasattr(module.get("Solution"), name):
        # LeetCode makes a new object for every call, and takes what a method without a result
        # has done to its argument.
        method = getattr(module["Solution"](), name)
        returned = getattr(method, "__annotations__", {}).get("return")
        return method, returned in (None, "None", type(None))
    return module.get(name), False


def _changes(coded_args, args):
    try:
        coded = {str(i): encode(arg) for i, arg in enumerate(args) if type(coded_args[i]) is list}
        return {i: value for i, value in coded.items() if value != coded_args[int(i)]}
    except Exception:
        return {}


def _main():
    name = _request["function"]
    module = _module(name)
    if _function(module, name)[0] is None:
        raise NameError("there is no function " + name)
    for coded_args, coded_kwargs in _request["calls"]:
        args = [decode(arg) for arg in coded_args]
        kwargs = {key: decode(value) for key, value in coded_kwargs.items()}
        try:
            function, is_in_place = _function(module, name)
            reply = {"value": encode(function(*args, **kwargs))}
            if reply["value"] is None and (is_in_place or _request["sees_changes"]):
                reply["changed"] = _changes(coded_args, args)
            line = json.dumps(reply)
        except Exception as error:
            line = json.dumps({"exception": type(error).__name__, "message": str(error)[:200]})
        _out.write(line + "\\n")
        _out.flush()

_main()
"""
)


def call(
    submission: Submission,
    function: str,
    calls: Sequence[EncodedArgs],
    deadline: float,
    *,
    max_chars: int = MAX_RESULT_CHARS,
    sees_changes: bool = False,
) -> list[Result]:
    """Return one result per call, in order; its limits apply to each call, at least.

    A call that ends the process fails alone: the remaining calls run in a new process, until
    `time.monotonic()` reaches the deadline. A result of more than `max_chars` as JSON fails too.
    """
    results: list[Result] = []
    while len(results) < len(calls):
        remaining = calls[len(results) :]
        if results and time.monotonic() > deadline:
            return results + [Result(error=NO_TIME)] * len(remaining)
        request = {"function": function, "calls": remaining, "sees_changes": sees_changes}
        ending = submission.run_caller(_CALLER, request)
        new_results = _read(ending.stdout, len(remaining), max_chars)
        results += new_results
        if new_results and ending.how in ("wall", "cpu", "output"):
            continue  # the call it was in had only the rest of the limit
        if len(new_results) < len(remaining):
            failure = Result(error=why(ending), is_graders_fault=ending.how == "sandbox")
            # A program that exits before the first call would do so every time.
            is_hopeless = not new_results and ending.how in ("exit", "sandbox")
            results += [failure] * (len(remaining) - len(new_results) if is_hopeless else 1)
    return results


def _read(stdout: bytes, n_calls: int, max_chars: int) -> list[Result]:
    """Parse results up to the first incomplete or malformed line."""
    results = []
    for line in stdout.split(b"\n")[:-1][:n_calls]:
        if len(line) > max_chars:
            results.append(Result(error="returns far too much"))
            continue
        try:
            reply = json.loads(line)
            if "value" in reply and {*reply} <= {"value", "changed"}:
                changed = dict(reply.get("changed", {}))
                for value in (reply["value"], *changed.values()):
                    values.check(value)
                results.append(Result(reply["value"], changed))
            else:
                name, message = str(reply["exception"])[:80], str(reply["message"])[:200]
                results.append(Result(error=f"raises {name}: {message}", exception=name))
        except (ValueError, TypeError, KeyError, RecursionError):
            break
    return results


def why(ending: RunResult) -> str:
    """Describe why a run ended too early, in a phrase."""
    phrase = {
        "wall": "takes too long",
        "cpu": "uses too much time",
        "memory": "uses too much memory",
        "output": "writes too much",
        "signal": f"dies by signal {ending.code}",
        "sandbox": "the sandbox failed",
    }.get(ending.how)
    if phrase:
        return phrase
    lines = ending.stderr.decode("utf-8", "replace").strip().splitlines()
    if ending.code:
        return f"fails: {lines[-1][:200]}" if lines else f"ends with code {ending.code}"
    return "ends before it has answered"
