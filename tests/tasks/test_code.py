"""Public sets of programming problems: rows to problems, gold programs and near misses."""

import ast
import base64
import gzip
import json
import pickle
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from r1kit import config
from r1kit.errors import DataError, TaskError
from r1kit.files.json_lines import JsonRow
from r1kit.files.rows import read_rows
from r1kit.tasks import mix
from r1kit.tasks.base import split_of
from r1kit.tasks.code import CODE_TASKS, Codeforces, CodeTask, HumanEval, LiveCodeBench, Mbpp
from r1kit.types import Problem

DATA = Path(__file__).parents[3] / "shared" / "data" / "HumanEval.jsonl.gz"

HUMANEVAL = {
    "task_id": "Own/0",
    "prompt": 'import math\n\ndef root(x: float) -> float:\n    """The square root."""\n',
    "entry_point": "root",
    "canonical_solution": "    return math.sqrt(x)\n",
    "test": "def check(candidate):\n    assert math.isclose(candidate(9.0), 3)\n",
}
MBPP = {
    "task_id": 7,
    "prompt": "Write a function to add two numbers.",
    "code": "def helper(a):\n    return a\ndef add(a, b):\n    return helper(a) + b",
    "test_imports": ["import math"],
    "test_list": ["assert add(1, 2) == 3", "assert math.isclose(add(0.1, 0.2), 0.3)"],
}
HIDDEN = [{"input": "5\n", "output": "25\n", "testtype": "stdin"}]
LCB = {
    "question_id": "abc_1",
    "question_content": "Print the square of n.",
    "starter_code": "",
    "difficulty": "easy",
    "contest_date": "2024-09-01",
    "metadata": "{}",
    "public_test_cases": json.dumps([{"input": "3\n", "output": "9\n", "testtype": "stdin"}]),
    "private_test_cases": json.dumps(HIDDEN),
}
LEETCODE = LCB | {
    "question_id": "lc_1",
    "starter_code": "class Solution:\n    def square(self, n: int) -> int:\n",
    "metadata": json.dumps({"func_name": "square"}),
    "public_test_cases": json.dumps([{"input": "3", "output": "9", "testtype": "functional"}]),
    "private_test_cases": json.dumps([{"input": "4", "output": "16", "testtype": "functional"}]),
}
CODEFORCES = {
    "id": "1/A",
    "title": "Divisor",
    "description": "Print any divisor of n.",
    "input_format": "n",
    "output_format": "a divisor",
    "note": None,
    "examples": [{"input": "6", "output": "2"}],
    "official_tests": [{"input": "6", "output": "2"}, {"input": "7", "output": "7"}],
    "generated_checker": (
        "import sys\nn, _, got = (open(name).read() for name in sys.argv[1:])\n"
        "print(int(int(n) % int(got) == 0))"
    ),
    "time_limit": 1.0,
    "memory_limit": 256.0,
    "input_mode": "stdio",
}


MakeTask = Callable[..., CodeTask]


def fenced(program: str) -> str:
    return f"Here it is:\n```python\n{program}\n```\n"


@pytest.fixture
def task_of(tmp_path: Path) -> MakeTask:
    def made(kind: type[CodeTask], *rows: JsonRow) -> CodeTask:
        path = tmp_path / f"{kind.name}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        ids = [problem.id for problem in kind.__new__(kind).read(read_rows(str(path)))]
        return kind(path=str(path), split=split_of(ids[0]))

    return made


@pytest.mark.parametrize(
    ("kind", "row", "right", "wrong"),
    [
        (HumanEval, HUMANEVAL, "def root(x):\n    return x ** 0.5", "def root(x):\n    return x"),
        (HumanEval, HUMANEVAL, "    return math.sqrt(x)", "    return -math.sqrt(x)"),
        (Mbpp, MBPP, "def add(a, b): return b + a", "def add(a, b): return 3"),
        (LiveCodeBench, LCB, "print(int(input()) ** 2)", "print(9)"),
        (
            LiveCodeBench,
            LEETCODE,
            "class Solution:\n    def square(self, n: int, more: List[int] = []): return n * n",
            "class Solution:\n    def square(self, n): return 9",
        ),
        (Codeforces, CODEFORCES, "print(1)", "print(2)"),
    ],
)
def test_right_programs_verify_and_wrong_ones_do_not(
    task_of: MakeTask, kind: type[CodeTask], row: JsonRow, right: str, wrong: str
) -> None:
    task = task_of(kind, row)
    problem = task.problem(0)
    assert task.verify(problem, fenced(right)).outcome == "correct"
    assert task.verify(problem, fenced(wrong)).outcome == "incorrect"
    assert task.verify(problem, "I cannot.").outcome == "no answer"
    gold = task.gold(problem)
    assert gold is None or task.verify(problem, gold).correct is True


def test_hidden_tests_are_not_in_the_prompt(task_of: MakeTask) -> None:
    for kind, row in ((LiveCodeBench, LCB), (HumanEval, HUMANEVAL)):
        [message] = task_of(kind, row).problem(0).messages
        assert "25" not in message.content
        assert "isclose" not in message.content


def test_limits_of_a_contest_are_those_of_the_problem(task_of: MakeTask) -> None:
    problem = task_of(Codeforces, CODEFORCES).problem(0)
    assert problem.meta["limits"] == {"wall_s": 23.0, "cpu_s": 3.0, "memory_mb": 320}


def test_compressed_hidden_tests_are_read_and_pickles_are_never_loaded(
    task_of: MakeTask, tmp_path: Path
) -> None:
    def packed(thing: object) -> str:
        return base64.b64encode(zlib.compress(pickle.dumps(thing))).decode()

    for protocol_safe in (json.dumps(HIDDEN), json.dumps(HIDDEN * 3000)):
        task = task_of(LiveCodeBench, LCB | {"private_test_cases": packed(protocol_safe)})
        assert task.verify(task.problem(0), fenced("print(9)")).correct is False

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
            return open, (str(tmp_path / "pwned"), "w")

    with pytest.raises(TaskError, match="Row 0 does not read as livecodebench"):
        task_of(LiveCodeBench, LCB | {"private_test_cases": packed(Bomb())})
    with pytest.raises(TaskError, match="no plain string"):
        task_of(LiveCodeBench, LCB | {"private_test_cases": packed(["[", "]"])})
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("kind", CODE_TASKS.values(), ids=CODE_TASKS)
def test_rows_of_another_format_are_refused_with_a_sentence(
    task_of: MakeTask, kind: type[CodeTask]
) -> None:
    with pytest.raises(TaskError, match=f"Row 0 does not read as {kind.name}: KeyError"):
        task_of(kind, {"question": "?"})


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*missing\.jsonl"):
        list(read_rows(str(tmp_path / "missing.jsonl")))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"a": 1}\n{"a":\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"bad.jsonl: line 2 is not JSON; delete"):
        list(read_rows(str(bad)))
    bad.write_text("[1]\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1 is not a JSON object"):
        list(read_rows(str(bad)))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:40])
    with pytest.raises(DataError, match=r"cut.jsonl.gz cannot be read \(Compressed file ended"):
        list(read_rows(str(cut)))


def test_a_set_is_a_task_of_a_recipe(tmp_path: Path) -> None:
    rows = [HUMANEVAL | {"task_id": f"Own/{i}"} for i in range(60)]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    entry = {"name": "humaneval", "path": str(path)}
    recipe = config.parse({"name": "t", "tasks": [entry]}, "t")
    train, held_out = mix.load_tasks(recipe, "train"), mix.load_tasks(recipe, "held_out")
    ids = [{tasks.problem(i).id for i in range(90)} for tasks in (train, held_out)]
    assert len(ids[0] | ids[1]) == 60
    assert not ids[0] & ids[1]
    wrong = config.parse({"name": "t", "tasks": [{"name": "equation", "path": str(path)}]}, "t")
    with pytest.raises(TaskError, match="'equation' reads no file"):
        mix.load_tasks(wrong, "train")


class LastReturn(ast.NodeTransformer):
    """Makes the last return of the function under test give something else."""

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if node.name == self.entry:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    inner.value = ast.Tuple([inner.value, ast.Constant("mutant")], ast.Load())
        return node


@pytest.mark.skipif(not DATA.exists(), reason="HumanEval's rows are not beside the project")
def test_all_of_humaneval_passes_and_all_its_mutants_fail() -> None:
    pairs = []
    for split in ("train", "held_out"):
        task = HumanEval(path=str(DATA), split=split)
        pairs += [(task, problem) for problem in task.problems]
    assert len(pairs) == 164

    def verdicts(pair: tuple[HumanEval, Problem]) -> list[bool | None]:
        task, problem = pair
        tree = LastReturn(problem.meta["entry"]).visit(ast.parse(problem.answer))
        mutant = ast.unparse(ast.fix_missing_locations(tree))
        answers = (problem.answer, mutant)
        return [task.verify(problem, fenced(answer)).correct for answer in answers]

    with ThreadPoolExecutor(2) as threads:
        result = list(threads.map(verdicts, pairs))
    assert result == [[True, False]] * 164
