"""Programs against tests, in the real sandbox; and candidates that try to be paid for nothing."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from r1kit.verify import code
from r1kit.verify.code import CallTest, CheckTest, StdioTest, check_code, extract_program
from r1kit.verify.sandbox import Limits, Sandbox

ADD = [CallTest("add", (3, 4), 7), CallTest("add", (-1, 1), 0)]
SUM = [StdioTest("3 4\n", "7\n"), StdioTest("10 -4\n", "6\n")]
CHECK = [
    CheckTest(
        "import math\n"
        "def check(candidate):\n"
        "    assert candidate(3, 4) == 7\n"
        "    assert math.isclose(candidate(0.1, 0.2), 0.3)\n"
        "    for i in range(5):\n"
        "        assert tuple([candidate(i, i)]) == (2 * i,), 'doubled'\n",
        "add",
    )
]
SHORT = Limits(wall_s=4.0, cpu_s=1.0, memory_mb=256)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def tried(
    sandbox: Sandbox, program: str, tests: Sequence[code.Test], **more: Any
) -> code.TestReport:
    return check_code(program, tests, sandbox, SHORT, **more)


RIGHT = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    ("program", "tests"),
    [
        (RIGHT, ADD),
        (RIGHT, CHECK),
        ("class Solution:\n    def add(self, a, b):\n        return a + b", ADD),
        ("print('hello')\n" + RIGHT + "if __name__ == '__main__':\n    input()", ADD),
        ("add = lambda a, b: a + b", CHECK),
        ("a, b = map(int, input().split())\nprint(a + b)", SUM),
        ("import sys\nprint(sum(map(int, sys.stdin.buffer.readline().split())))", SUM),
        ("import sys\nprint(sum(map(int, open(0).read().split())))\nsys.exit()", SUM),
    ],
)
def test_right_programs_pass(sandbox: Sandbox, program: str, tests: Sequence[code.Test]) -> None:
    report = tried(sandbox, program, tests)
    assert report.score == 1.0
    assert report.verdict(program).outcome == "correct"


@pytest.mark.parametrize(
    ("program", "tests", "why"),
    [
        ("def add(a, b): return a - b", ADD, "test 0: returns -1, not 7"),
        ("def add(a, b): return abs(a) + b", ADD, "test 1: returns 2, not 0"),
        ("def add(a, b): return a - b", CHECK, "AssertionError at: assert candidate(3, 4) == 7"),
        ("def add(a, b): return 7", CHECK, "math.isclose"),
        ("def add(a, b): return a + b if a < 4 else 0", CHECK, "doubled"),
        ("def plus(a, b): return a + b", ADD, "no function add"),
        ("def add(a, b) return a + b", ADD, "SyntaxError"),
        ("def add(a, b): return 1 // 0", ADD, "raises ZeroDivisionError"),
        ("def add(a, b): return [object()]", ADD, "returns [<object>], not 7"),
        ("def add(a, b):\n    while True: pass", ADD, "too"),
        ("print(7)", SUM, "test 1: line 1 is '7', not '6'"),
        ("print('7\\nmore')", SUM, "2 lines, not 1"),
        ("1/0", SUM, "ZeroDivisionError"),
        ("import time; time.sleep(9)", SUM[:1], "takes too long"),
        ("import os; os.write(1, b'\\xff')", SUM, "not UTF-8"),
        ("", SUM, "0 lines, not 1"),
    ],
)
def test_wrong_programs_fail_and_it_is_told_why(
    sandbox: Sandbox, program: str, tests: Sequence[code.Test], why: str
) -> None:
    verdict = tried(sandbox, program, tests).verdict(program)
    assert verdict.outcome == "incorrect"
    assert why in verdict.why


EXPLOITS = {
    "leaves early": "import os; os._exit(0)",
    "leaves when called": "def add(a, b):\n    import os; os._exit(0)",
    "says all is well": "print('all tests passed')\ndef add(a, b): print('passed'); return None",
    "equal to everything": (
        "class Yes(int):\n"
        "    def __eq__(self, other): return True\n"
        "    __hash__ = int.__hash__\n"
        "    def __sub__(self, other): return Yes(0)\n"
        "def add(a, b): return Yes(0)"
    ),
    "an object that agrees": (
        "class Yes:\n"
        "    def __eq__(self, other): return True\n"
        "    def __getattr__(self, name): return lambda *a: True\n"
        "def add(a, b): return Yes()"
    ),
    "looks at the callers": (
        "import sys\n"
        "def add(a, b):\n"
        "    frame = sys._getframe()\n"
        "    while frame:\n"
        "        for found in (*frame.f_locals.values(), *frame.f_globals.values()):\n"
        "            if isinstance(found, (list, tuple, dict)) and '7' in repr(found):\n"
        "                return 7 if 'expected' in repr(found) else None\n"
        "        frame = frame.f_back\n"
    ),
    "searches the memory for the test": (
        "import gc\n"
        "def add(a, b):\n"
        "    for found in gc.get_objects():\n"
        "        if isinstance(found, dict) and 'expected' in found: return found['expected']\n"
    ),
    "patches the encoder": (
        "import __main__\n"
        "__main__.encode = lambda value: ['Always', 'right']\n"
        "def add(a, b): return None"
    ),
    "writes results itself": (
        "import os\n"
        "for fd in range(3, 40):\n"
        "    try: os.write(fd, b'{\"value\": true}\\n' * 9)\n"
        "    except OSError: pass\n"
        "def add(a, b): return None"
    ),
    "forges what is no value": (
        "import os\n"
        "for fd in range(3, 40):\n"
        "    try: os.write(fd, b'{\"value\": [\"list\"]}\\n[]\\nnull\\n' + b'[' * 10**5 + b'\\n')\n"
        "    except OSError: pass\n"
        "def add(a, b): return None"
    ),
    "patches json and builtins": (
        "import json, builtins\n"
        "json.dumps = lambda *a: '{\"value\": 1}'\n"
        "builtins.isinstance = lambda *a: True\n"
        "def add(a, b): return None"
    ),
    "raises what tests expect": "def add(a, b): raise AssertionError('ok')",
    "recursion": "def add(a, b): return add(a, b)",
    "nested without end": "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
    "a solution that looks at the request": (
        "import sys\n"
        "class Solution:\n"
        "    def add(self, a, b):\n"
        "        request = sys._getframe(1).f_globals['_request']\n"
        "        return request.get('expected', request.get('results'))"
    ),
    "changes its arguments and returns nothing": (
        "class Solution:\n    def add(self, a, b): a = b = 7"
    ),
    "forges changes": (
        "import os\n"
        "for fd in range(3, 40):\n"
        '    try: os.write(fd, b\'{"value": null, "changed": {"0": ["list", [7]]}}\\n\' * 9)\n'
        "    except OSError: pass\n"
        "def add(a, b): return None"
    ),
    "forges kinds of values": (
        "import os\n"
        'texts = (b\'["iterator", [["type", "eval"]]]\', b\'["Fraction", [1, 0]]\',\n'
        '         b\'["Decimal", ["sNaN"]]\', b\'["ndarray", ["list", []]]\')\n'
        "for fd in range(3, 40):\n"
        "    for text in texts:\n"
        "        try: os.write(fd, b'{\"value\": ' + text + b'}\\n')\n"
        "        except OSError: pass\n"
        "def add(a, b): return None"
    ),
    "a generator without end": "def add(a, b):\n    while True: yield 7",
    "an iterator equal to everything": (
        "class All:\n"
        "    def __iter__(self): return self\n"
        "    def __next__(self): raise StopIteration\n"
        "    def __eq__(self, other): return True\n"
        "def add(a, b): return All()"
    ),
    "a fraction equal to everything": (
        "from fractions import Fraction\n"
        "Fraction.__eq__ = lambda self, other: True\n"
        "def add(a, b): return Fraction(a, 100)"
    ),
    "a number that is not to be compared": (
        "from decimal import Decimal\ndef add(a, b): return Decimal('sNaN')"
    ),
    "an array without items": (
        "import numpy\nnumpy.ndarray.__eq__ = None\ndef add(a, b): return numpy.array([])"
    ),
    "patches the numbers of numpy": (
        "import numpy\n"
        "class Any(numpy.float64):\n"
        "    def __eq__(self, other): return True\n"
        "def add(a, b): return Any(0)"
    ),
    "ends the process with threads": (
        "import threading, os\n"
        "threading.Timer(0, os._exit, (0,)).start()\n"
        "def add(a, b):\n    while True: pass"
    ),
    "patches exit": (
        "import builtins, sys\nbuiltins.exit = sys.exit = lambda *a: None\ndef add(a, b): exit(0)"
    ),
    "an empty class": "class Solution: pass",
    "says nothing": "",
}


@pytest.mark.parametrize("tests", [ADD, CHECK], ids=["calls", "check"])
@pytest.mark.parametrize("name", EXPLOITS)
def test_no_exploit_is_paid(sandbox: Sandbox, name: str, tests: Sequence[code.Test]) -> None:
    assert tried(sandbox, EXPLOITS[name], tests).verdict("").outcome == "incorrect"


STDIO_EXPLOITS = (
    "print('7\\n6')",
    "print('correct'); exit(0)",
    "import os; os._exit(0)",
    "import sys; sys.stdout = None; print(7)",
    "class S(str):\n    def __eq__(self, other): return True\nprint(S('x'))",
    "import sys\nprint(sys.argv, sys.stdin.read(), list(sys.modules)[-1])",
    "import os\nprint(*(os.listdir('.') + os.listdir('/')))",
    "print('nan')",
    "print('7', end='\\x00')",
    "print('07')",
    "print('7 ' * 2)",
    "print(7, 6, sep='\\r')",
    "print('7\\f6')",
    "print('\\x1b[2J7')",
    "print('７')",
)


@pytest.mark.parametrize("program", STDIO_EXPLOITS)
def test_no_output_is_paid_for_nothing(sandbox: Sandbox, program: str) -> None:
    assert tried(sandbox, program, SUM).verdict("").outcome == "incorrect"
    lenient = [StdioTest(t.stdin, t.stdout, compare="floats") for t in SUM]
    assert tried(sandbox, program, lenient).verdict("").outcome == "incorrect"


def test_partial_scores_and_the_first_failure(sandbox: Sandbox) -> None:
    tests: list[code.Test] = [CallTest("half", (n,), n / 2) for n in range(10)]
    program = "def half(n):\n    if n == 5:\n        import os; os._exit(3)\n    return n // 2"
    report = tried(sandbox, program, tests, run_all=True)
    assert [result.passed for result in report.results] == [n % 2 == 0 for n in range(10)]
    assert report.results[5].why == "ends with code 3"
    assert report.score == 0.5
    assert report.first_failure == 1
    stopped = tried(sandbox, program, [*tests[:2], *SUM])
    assert len(stopped.results) == 2
    assert stopped.n_tests == 4


def test_all_tests_together_have_a_limit(sandbox: Sandbox) -> None:
    program = "import time\ndef slow(n): time.sleep(0.4)"
    calls = [CallTest("slow", (n,), None) for n in range(2)]
    tests: list[code.Test] = [*calls, *(StdioTest("", "") for _ in range(50))]
    report = tried(sandbox, "import time; time.sleep(0.3)", tests, total_s=1.0, run_all=True)
    assert report.results[-1].why == "its tests together take too long"
    assert len(report.results) == 52
    assert tried(sandbox, program, calls).score == 1.0


def test_every_call_of_a_series_has_the_whole_limit(sandbox: Sandbox) -> None:
    program = "import time\ndef slow(n): time.sleep(n); return n"
    tests = [CallTest("slow", (n,), n) for n in (1.2, 1.2, 1.2, 1.2, 9)]
    report = tried(sandbox, program, tests, run_all=True)
    assert [result.passed for result in report.results] == [True, True, True, True, False]
    assert report.results[-1].why == "takes too long"


@pytest.mark.parametrize(
    "broken",
    [
        CheckTest("def check(candidate):\n    os._exit(0)\nimport os", "add"),
        CheckTest("def check(candidate)", "add"),
        CheckTest("def check(candidate):\n    candidate(lambda: 0)", "add"),
        CheckTest("def check(candidate):\n    while True: candidate(1, 2)", "add"),
        StdioTest("3 4\n", "7\n", checker="print('maybe')"),
        StdioTest("3 4\n", "7\n", checker="1/0"),
        StdioTest("3 4\n", "7\n", checker="print(2)"),
    ],
)
def test_a_broken_test_is_nobodys_failure(sandbox: Sandbox, broken: code.Test) -> None:
    program = RIGHT if isinstance(broken, CheckTest) else "print(7)"
    report = tried(sandbox, program, [broken])
    assert report.score is None
    assert report.verdict(program).outcome == "undecided"


def test_a_special_checker_decides(sandbox: Sandbox) -> None:
    checker = (
        "import sys\n"
        "given, answer, output = (open(name).read().split() for name in sys.argv[1:])\n"
        "print(int(len(output) == 2 and sum(map(int, output)) == int(given[0])))"
    )
    test = StdioTest("10\n", "5 5\n", checker)
    assert tried(sandbox, "print(3, 7)", [test]).score == 1.0
    assert tried(sandbox, "print(3, 8)", [test]).score == 0.0
    assert tried(sandbox, "print('open everything')", [test]).verdict("").outcome != "correct"


def test_calls_that_depend_on_results_are_found(sandbox: Sandbox) -> None:
    test = CheckTest(
        "def check(candidate):\n"
        "    value = 1\n"
        "    for _ in range(4):\n"
        "        value = candidate(value, value)\n"
        "    assert value == 16\n"
        "    try:\n"
        "        candidate('a', 1)\n"
        "        assert False, 'no error'\n"
        "    except TypeError:\n"
        "        pass\n",
        "add",
    )
    assert tried(sandbox, RIGHT, [test]).score == 1.0
    wrong = tried(sandbox, "def add(a, b): return a * 3", [test])
    assert "value == 16" in wrong.results[0].why


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("```python\nprint(1)\n```", "print(1)\n"),
        ("First ```x```.\n```py\na\n```\nthen\n```python\nb\n```\ndone", "b\n"),
        ("```python\nprint(1)\n```\nOutput:\n```text\n1\n```", "print(1)\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("~~~python\nx = 1\n~~~", "x = 1\n"),
        ("````python\n'''\n```\n'''\n````", "'''\n```\n'''\n"),
        ("```python\nprint(1)", "print(1)"),
        ("def f(x):\n    return x", "def f(x):\n    return x"),
        ("```cpp\nint main() {}\n```", None),
        ("I do not know.", None),
        ("```python\n\n```", None),
        ("", None),
        ("```\npython\nprint(1)\n```", "print(1)\n"),
        ("```\nPython3 \nprint(1)\n```", "print(1)\n"),
        ("python\ndef f():\n    return 1\n", "def f():\n    return 1"),
        ("```\npython = 3\nprint(python)\n```", "python = 3\nprint(python)\n"),
        ("```markdown\n```python\nprint(1)\n```", "print(1)\n"),
        ("```markdown\n# Title\n```", None),
    ],
)
def test_the_program_of_an_answer(text: str, program: str | None) -> None:
    assert extract_program(text) == program


def test_tests_are_read_from_json() -> None:
    rows = [
        {"stdin": "1", "stdout": "2"},
        {"function": "f", "args": [1], "expected": [1]},
        {"check": "def check(candidate): pass", "entry_point": "f"},
    ]
    assert code.read(rows) == [
        StdioTest("1", "2"),
        CallTest("f", (1,), [1]),
        CheckTest("def check(candidate): pass", "f"),
    ]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "at least one test"),
        ("x", "at least one test"),
        ([1], "test 0 is not an object"),
        ([{"stdin": "1"}], "test 0 has the keys stdin; a test has stdin, stdout or function"),
        ([{"stdin": 1, "stdout": "2"}], "test 0: stdin is not a str"),
        ([{"function": "f", "args": 1, "expected": 1}], "test 0: args is not a list"),
    ],
)
def test_what_is_no_test_is_named(rows: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        code.read(rows)


def test_a_program_without_tests_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="without tests"):
        check_code("print(1)", [], sandbox)


def test_a_huge_program_is_refused_without_running(sandbox: Sandbox) -> None:
    report = tried(sandbox, "#" * 300_000, SUM)
    assert report.verdict("").outcome == "incorrect"
