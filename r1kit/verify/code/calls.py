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
from dataclasses import dataclass, replace
from typing import Any

from r1kit.verify.code import values
from r1kit.verify.sandbox import Job, Limits, RunResult, Sandbox

EncodedArgs = tuple[list[Any], dict[str, Any]]
"""encoded positional and named arguments"""

NO_TIME = "its tests together take too long"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a call: a value, or the reason why there is none."""

    value: Any = None
    """the encoded return value; also None if there is an error"""
    error: str | None = None
    """a readable phrase"""
    exception: str | None = None
    """name of the exception type, if the candidate raised one"""
    is_graders_fault: bool = False


_CALLER = (
    values.BEGIN
    + """
def _main():
    module = {"__name__": "candidate", "__builtins__": __builtins__}
    exec(compile(_request["program"], "candidate.py", "exec"), module)
    name = _request["function"]
    function = module.get(name)
    if function is None and "Solution" in module:
        function = getattr(module["Solution"](), name, None)
    if function is None:
        raise NameError("there is no function " + name)
    for args, kwargs in _request["calls"]:
        args, kwargs = [decode(arg) for arg in args], {k: decode(v) for k, v in kwargs.items()}
        try:
            line = json.dumps({"value": encode(function(*args, **kwargs))})
        except Exception as error:
            line = json.dumps({"exception": type(error).__name__, "message": str(error)[:200]})
        _out.write(line + "\\n")
        _out.flush()

_main()
"""
)


def call(
    sandbox: Sandbox,
    program: str,
    function: str,
    calls: Sequence[EncodedArgs],
    limits: Limits,
    deadline: float,
) -> list[Result]:
    """Return one result per call, in order; `limits` apply to each run of the program.

    A call that ends the process fails alone: the remaining calls run in a new process, until
    `time.monotonic()` reaches the deadline.
    """
    results: list[Result] = []
    while len(results) < len(calls):
        remaining = calls[len(results) :]
        if results and time.monotonic() > deadline:
            return results + [Result(error=NO_TIME)] * len(remaining)
        request = {"program": program, "function": function, "calls": remaining}
        job = Job(
            _CALLER, stdin=json.dumps(request).encode(), limits=_scaled(limits, len(remaining))
        )
        ending = sandbox.run(job)
        new_results = _read(ending.stdout, len(remaining))
        results += new_results
        if len(new_results) < len(remaining):
            failure = Result(error=why(ending), is_graders_fault=ending.how == "sandbox")
            # A program that exits before the first call would do so every time.
            is_hopeless = not new_results and ending.how in ("exit", "sandbox")
            results += [failure] * (len(remaining) - len(new_results) if is_hopeless else 1)
    return results


def _scaled(limits: Limits, n_calls: int) -> Limits:
    return replace(limits, output_bytes=max(limits.output_bytes, 1 << 16) * min(n_calls, 8))


def _read(stdout: bytes, n_calls: int) -> list[Result]:
    """Parse results up to the first incomplete or malformed line."""
    results = []
    for line in stdout.split(b"\n")[:-1][:n_calls]:
        try:
            reply = json.loads(line)
            if set(reply) == {"value"}:
                values.check(reply["value"])
                results.append(Result(reply["value"]))
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
