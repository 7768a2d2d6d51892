"""Programming problems of public datasets: HumanEval, MBPP, EvalPlus, LiveCodeBench, Codeforces.

    [[tasks]]
    name = "humaneval"
    path = "HumanEval.jsonl.gz"      # default: the dataset on the Hugging Face hub

A row becomes a `Problem` whose tests are in `meta`, never in the prompt; the program in the answer
is run in the sandbox (verify/code). Problems keep the order of the file.
"""

from __future__ import annotations

import ast
import base64
import builtins
import json
import pickletools
import zlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from r1kit.errors import TaskError
from r1kit.files.rows import read_rows
from r1kit.tasks.base import Task, split_of
from r1kit.types import Message, Problem, Split, Verdict
from r1kit.verify import code
from r1kit.verify.code import LEETCODE, CallTest, CheckTest, CompareRule, StdioTest, Test
from r1kit.verify.sandbox import Limits

ProblemRow = Mapping[str, Any]

MAX_PRIVATE_BYTES = 1 << 28
"""maximum size of LiveCodeBench's compressed tests after decompression"""

_ASK = "Answer with the whole program in one ```python block."
_FUNCTION = "Complete this function. " + _ASK + "\n\n```python\n{}\n```"
_STDIO = "Read from standard input and write to standard output. " + _ASK


class CodeTask(Task):
    """A dataset of programming problems; subclasses parse its rows."""

    hub: ClassVar[str]
    """`repository:configuration:split` of the dataset on the Hugging Face hub"""
    limits: ClassVar[Limits] = Limits(wall_s=30.0, cpu_s=8.0, memory_mb=512)
    total_s: ClassVar[float] = 300.0
    """seconds for all tests of a program, which judges do not limit; only slow programs that pass
    test after test come near"""
    compare: CompareRule = "auto"
    """the rule by which outputs are the same, unless a row has its own checker"""

    def __init__(
        self,
        *,
        level: int = 1,
        languages: Sequence[str] = ("en",),
        split: Split = "train",
        seed: int = 0,
        path: str | None = None,
    ) -> None:
        super().__init__(level=level, languages=languages, split=split, seed=seed)
        problems = list(self.read(read_rows(path or self.hub)))
        self.problems = [problem for problem in problems if split_of(problem.id) == split]
        if not self.problems:
            raise TaskError(
                f"Task {self.name!r} has no {split} problem among the {len(problems)} rows of "
                f"{path or self.hub}; use more rows."
            )

    @classmethod
    def without_rows(cls, compare: CompareRule = "auto") -> Self:
        """Return the task without problems: it reads rows and verifies answers for a benchmark.

        `compare` is the benchmark's own rule.
        """
        task = cls.__new__(cls)
        Task.__init__(task)
        task.problems = []
        task.compare = compare
        return task

    def problem(self, index: int) -> Problem:
        return self.problems[index % len(self.problems)]

    def gold(self, problem: Problem) -> str | None:
        return f"```python\n{problem.answer}\n```" if problem.answer else None

    def verify(self, problem: Problem, answer: str) -> Verdict:
        tests = problem.meta["tests"]
        program = code.extract_program(answer, tests)
        if program is None:
            return Verdict(False, None, "no program in the answer")
        limits = replace(self.limits, **problem.meta.get("limits", {}))
        preamble = problem.meta.get("preamble", "")
        source = self.whole(problem, program)
        sandbox = code.default_sandbox()
        report = code.check_code(
            source, tests, sandbox, limits, preamble=preamble, total_s=self.total_s
        )
        return report.verdict(program)

    def whole(self, problem: Problem, program: str) -> str:
        """Return the program to run after the problem's preamble."""
        return program

    def read(self, rows: Iterable[ProblemRow]) -> Iterable[Problem]:
        """Parse rows into problems. Raises TaskError for rows of another format."""
        for index, row in enumerate(rows):
            try:
                problem = self.read_row(row)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise TaskError(
                    f"Row {index} does not read as {self.name}: {type(error).__name__}: {error}."
                ) from None
            if problem is not None:
                yield problem

    @abstractmethod
    def read_row(self, row: ProblemRow) -> Problem | None:
        """Parse a row into a problem; return None for a row that cannot be tested."""

    def build_problem(
        self, key: str, question: str, answer: str, tests: Sequence[Test], **meta: Any
    ) -> Problem:
        """Build a problem of this task; `meta` is the data that `verify` needs besides tests."""
        return Problem(
            id=f"{self.name}/{key}",
            task=self.name,
            messages=(Message("user", question),),
            answer=answer,
            language="en",
            meta={"tests": tuple(tests)} | meta,
        )


class HumanEval(CodeTask):
    """Chen et al. 2021: complete a function; `check(candidate)` tests it."""

    name = "humaneval"
    hub = "openai/openai_humaneval::test"

    def read_row(self, row: ProblemRow) -> Problem:
        prompt, entry = row["prompt"], row["entry_point"]
        preamble = prompt[: prompt.rindex(f"def {entry}")]
        return self.build_problem(
            row["task_id"],
            _FUNCTION.format(prompt.rstrip()),
            prompt + row["canonical_solution"],
            [CheckTest(preamble + row["test"], entry)],
            preamble=preamble,
            prompt=prompt,
            entry=entry,
        )

    def whole(self, problem: Problem, program: str) -> str:
        """Prepend the prompt to the body of a function."""
        return code.with_signature(program, problem.meta["prompt"], problem.meta["entry"])


class HumanEvalPlus(HumanEval):
    """Liu et al. 2023 (EvalPlus): the problems of HumanEval with about 80 times as many tests."""

    name = "humanevalplus"
    hub = "evalplus/humanevalplus::test"
    limits = Limits(wall_s=60.0, cpu_s=50.0, memory_mb=1024)


class Mbpp(CodeTask):
    """Austin et al. 2021: a sentence and three assertions, which are in the prompt."""

    name = "mbpp"
    hub = "google-research-datasets/mbpp:sanitized:test"

    def read_row(self, row: ProblemRow) -> Problem:
        asserts: list[str] = list(row["test_list"])
        setup = "\n".join([*row.get("test_imports", ()), row.get("test_setup_code") or ""])
        entry = called_function(asserts, defined_functions(row["code"]))
        tests = [CheckTest("\n".join([setup, *asserts]), entry)]
        question = row.get("prompt") or row["text"]
        assert_lines = "\n".join(asserts)
        return self.build_problem(
            str(row["task_id"]),
            f"{question} {_ASK} It must pass:\n\n```python\n{assert_lines}\n```",
            row["code"],
            tests,
        )


class MbppPlus(CodeTask):
    """Liu et al. 2023 (EvalPlus): problems of MBPP with about 35 times as many tests."""

    name = "mbppplus"
    hub = "evalplus/mbppplus::test"
    limits = HumanEvalPlus.limits

    def read_row(self, row: ProblemRow) -> Problem:
        asserts: list[str] = list(row["test_list"])
        entry = called_function(asserts, defined_functions(row["code"]))
        imports = "\n".join(row.get("test_imports") or ())
        return self.build_problem(
            str(row["task_id"]),
            f"{row['prompt']} {_ASK} It must pass:\n\n```python\n{asserts[0]}\n```",
            row["code"],
            [CheckTest(f"{imports}\n{row['test']}", entry)],
        )


class LiveCodeBench(CodeTask):
    """Jain et al. 2024: dated contest problems, on stdin or as a method of `Solution`.

    Programs have the imports of its grader, which are LeetCode's, also on stdin. Departure in
    training: outputs are compared by "auto", which does not pay for `11` where `0011` is expected;
    `r1 eval` uses the benchmark's own rule.
    """

    name = "livecodebench"
    hub = "livecodebench/code_generation_lite::test"

    def read_row(self, row: ProblemRow) -> Problem:
        tests = json.loads(row["public_test_cases"]) + _private_tests(row["private_test_cases"])
        function = json.loads(row.get("metadata") or "{}").get("func_name")
        starter = row.get("starter_code") or ""
        instruction = _FUNCTION.format(starter) if starter else _STDIO
        return self.build_problem(
            row["question_id"],
            f"{row['question_content']}\n\n{instruction}",
            "",
            [self._test(test, function) for test in tests],
            preamble=LEETCODE,
            date=str(row.get("contest_date", "")),
            difficulty=row.get("difficulty", ""),
        )

    def _test(self, test: ProblemRow, function: str | None) -> Test:
        if test["testtype"] == "stdin":
            return StdioTest(test["input"], test["output"], compare=self.compare)
        if function is None:
            raise ValueError("a functional test without the name of its function")
        args = tuple(json.loads(line) for line in test["input"].split("\n") if line.strip())
        return CallTest(function, args, json.loads(test["output"]))


class Codeforces(CodeTask):
    """Rows as published by open-r1: official tests, limits, and checkers for multiple solutions."""

    name = "codeforces"
    hub = "open-r1/codeforces:verifiable:test"

    def read_row(self, row: ProblemRow) -> Problem | None:
        tests = row.get("official_tests") or row["examples"]
        if row.get("input_mode", "stdio") != "stdio" or not tests:
            return None
        checker = row.get("generated_checker") or None
        seconds = float(row.get("time_limit") or 2.0)
        parts = {
            "Input": row.get("input_format"),
            "Output": row.get("output_format"),
            "Note": row.get("note"),
        }
        parts["Examples"] = "\n\n".join(
            f"Input:\n{example['input']}\nOutput:\n{example['output']}"
            for example in row.get("examples") or ()
        )
        sections = "".join(f"\n\n{name}\n\n{text}" for name, text in parts.items() if text)
        return self.build_problem(
            row["id"],
            f"{row['title']}\n\n{row['description']}{sections}\n\n{_STDIO}",
            "",
            [StdioTest(t["input"], t["output"], checker, self.compare) for t in tests],
            limits={
                # The contest's limits are for compiled programs; for Python, CodeElo's are used.
                "wall_s": 3 * seconds + 20,
                "cpu_s": 3 * seconds,
                "memory_mb": int(row.get("memory_limit") or 256) + 64,
            },
            rating=row.get("rating"),
        )


CODE_TASKS: dict[str, type[CodeTask]] = {
    task.name: task
    for task in (HumanEval, HumanEvalPlus, Mbpp, MbppPlus, LiveCodeBench, Codeforces)
}


def defined_functions(source: str) -> set[str]:
    """Return the names of the functions that a program defines."""
    return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def called_names(asserts: Sequence[str]) -> set[str]:
    """Return the names that assertions call, without Python's own functions."""
    nodes = (node for text in asserts for node in ast.walk(ast.parse(text)))
    called = {node.func for node in nodes if isinstance(node, ast.Call)}
    return {node.id for node in called if isinstance(node, ast.Name)} - set(dir(builtins))


def called_function(asserts: Sequence[str], names: set[str]) -> str:
    """Return the name of the function that the assertions call."""
    for text in asserts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Name) and node.id in names:
                return node.id
    raise ValueError("the assertions call no function that the solution defines")


def _private_tests(field: str) -> list[ProblemRow]:
    """Read LiveCodeBench's hidden tests: JSON, or JSON in a compressed pickled string.

    The pickle is never loaded: it is parsed for the single string that it may contain. Raises
    ValueError for anything else in it.
    """
    try:
        rows = json.loads(field)
    except ValueError:
        unpacker = zlib.decompressobj()
        packed = unpacker.decompress(base64.b64decode(field), MAX_PRIVATE_BYTES)
        if unpacker.unconsumed_tail:
            raise ValueError("its hidden tests are too large") from None
        rows = json.loads(_pickled_string(packed))
    tests: list[ProblemRow] = list(rows)
    return tests


def _pickled_string(packed: bytes) -> str:
    """Return the string in a pickle that contains one string and nothing else."""
    harmless_opcodes = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "STOP"}
    strings = []
    for opcode, argument, _ in pickletools.genops(packed):
        if opcode.name in ("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"):
            strings.append(str(argument))
        elif opcode.name not in harmless_opcodes:
            raise ValueError(f"its hidden tests are no plain string (they hold {opcode.name})")
    if len(strings) != 1:
        raise ValueError("its hidden tests are no plain string")
    return strings[0]
