"""What real answers with programs look like: variants of the kinds in verify/cases, by hand."""

from collections.abc import Iterator

import pytest

from r1kit.files.json_lines import JsonRow
from r1kit.verify import code
from r1kit.verify.code import check_code, extract_program
from r1kit.verify.code.output import same_output
from r1kit.verify.sandbox import Limits, Sandbox

TRIPLE = [{"stdin": "4\n", "stdout": "12\n"}]
TRI = [{"function": "tri", "args": [4], "expected": 12}]
SOLVED = "n=int(input())\nprint(n*3)\n"
FENCED = f"```python\n{SOLVED}```\n"
LIMITS = Limits(wall_s=20.0, cpu_s=3.0, memory_mb=256)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as opened:
        yield opened


def outcome(sandbox: Sandbox, program: str, rows: list[JsonRow]) -> str:
    return check_code(program, code.read(rows), sandbox, LIMITS).verdict(program).outcome


@pytest.mark.parametrize(
    ("actual", "expected", "is_same"),
    [
        # Kind 9: the text of a number that is no number.
        ("11", "0011", False),
        ("0011", "0011", True),
        ("0", "00", False),
        ("5", "+5", False),
        ("+5", "5", False),
        ("1.1", "1.10", False),
        ("2.5", "2.50", False),
        ("7.5", "07.5", False),
        ("2024-1-5", "2024-01-05", False),
        ("9:05", "09:05", False),
        ("-5", "-05", False),
        ("1e2", "1e02", True),
        ("12", "1 2", False),
        ("abc", "ABC", False),
        ("0x10", "16", False),
        ("1,000", "1000", False),
        # Kind 20: floats.
        ("0.30000000000000004", "0.3", True),
        ("3.0000000000", "3.0", True),
        ("3", "3.0", True),
        ("2.50", "2.5", True),
        ("3.4999999999", "3.5", True),
        ("3.49", "3.5", False),
        ("3.14159265", "3.141592653589793", True),
        ("3.1416", "3.141592653589793", False),
        ("1234567.9", "1234567.891234", True),
        ("1234570", "1234567.891234", False),
        ("1.2345e-07", "0.00000012345", True),
        ("0.0", "0.00000012345", False),
        ("-0.0", "0.0", True),
        ("5.551115123125783e-17", "0.0", True),
        ("1e-17", "0.000000000", True),
        ("0.001", "0.0", False),
        ("1000000000001.0", "1000000000000.0", False),
        ("6.9999999", "7", False),
        ("7.0000001", "7", False),
        ("10.000000", "10", True),
        ("nan", "0.333333333333", False),
        ("inf", "1e999", False),
        ("0.333333 0.666667\n1", "0.333333333 0.666666667\n1", True),
        ("0.333333 0.666667", "0.333333333\n0.666666667", False),
        ("x 0.333333", "y 0.333333333", False),
        # Kind 35: yes and no.
        ("YES", "Yes", True),
        ("no", "NO", True),
        ("yes", "NO", False),
        ("Yes 3", "YES 3", True),
        ("Y", "Yes", False),
        ("True", "true", False),
        ("YESTERDAY", "Yesterday", False),
        # Drawings.
        (" *\n***", " *\n***\n", True),
        ("*\n***", " *\n***", False),
        ("* *", "*  *", False),
        ("  1\n 2", "1\n2", True),
    ],
)
def test_outputs_by_the_rule_auto(actual: str, expected: str, is_same: bool) -> None:
    assert same_output(actual, expected) is is_same


@pytest.mark.parametrize(
    ("rule", "actual", "expected", "is_same"),
    [
        ("exact", "1  2 \n", "1  2", True),
        ("exact", "1 2", "1  2", False),
        ("exact", "7.0", "7", False),
        ("tokens", "1 2\n3", "1\n2 3", True),
        ("tokens", "yes", "YES", False),
        ("floats", "0.3333\n2", "0.33334 2.0", False),
        ("floats", "0.3333333\n2", "0.33333334 2.0", True),
        ("floats", "2.5", "2.50", True),
        ("floats", "1e9", "1000000001", True),
        ("floats", "a 1", "b 1", False),
        ("ignore_case", "yEs\n snuke", "YES Snuke", True),
        ("ignore_case", "1.0", "1", False),
        ("any_order", "b 2\na 1\n", "a 1\nb 2.0\n", True),
        ("any_order", "a 1\na 1", "a 1\nb 2", False),
        ("any_order", "a 1", "a 1\na 1", False),
        ("livecodebench", "\n 1.10 2\n", "1.1 2", True),
        ("livecodebench", "0.333333", "0.333333333333", False),
        ("livecodebench", "11", "0011", True),
        ("livecodebench", "a 1.0", "a 1", False),
    ],
)
def test_outputs_by_a_named_rule(
    rule: code.CompareRule, actual: str, expected: str, is_same: bool
) -> None:
    assert same_output(actual, expected, rule) is is_same
    [test] = code.read([{"stdin": "", "stdout": expected, "compare": rule}])
    assert isinstance(test, code.StdioTest)
    assert test.compare == rule


def test_a_tolerance_of_the_row_counts(sandbox: Sandbox) -> None:
    row = {"stdin": "", "stdout": "0.3333333333", "tolerance": 0.01}
    assert outcome(sandbox, "print(0.34)", [row]) == "correct"
    assert outcome(sandbox, "print(0.35)", [row]) == "incorrect"


@pytest.mark.parametrize(
    ("text", "rows", "program"),
    [
        # Kind 11: which block is the program.
        (FENCED + "prints\n```\n12\n```", TRIPLE, SOLVED),
        (FENCED + "prints\n```python\n12\n```", TRIPLE, SOLVED),
        (FENCED + "```bash\npython a.py\n```", TRIPLE, SOLVED),
        (FENCED + "```json\n[12]\n```", TRIPLE, SOLVED),
        (FENCED + "```python\n>>> 4 * 3\n12\n```", TRIPLE, SOLVED),
        (FENCED + "The heart of it:\n```python\nprint(n*3)\n```", TRIPLE, SOLVED),
        (FENCED + "```\nO(n)\n```", TRIPLE, SOLVED),
        ("Input\n```\n4\n```\n" + FENCED, TRIPLE, SOLVED),
        ("Draft\n```python\nprint(int(input()))\n```\n" + FENCED, TRIPLE, SOLVED),
        (
            "```python\ndef tri(n):\n    return n*3\n```\n```python\nassert tri(4) == 12\n```",
            TRI,
            "def tri(n):\n    return n*3\n",
        ),
        (
            "```python\ndef tri(n):\n    return n*3\n```\n"
            "```python\ndef test():\n    assert tri(1) == 3\ntest()\n```",
            TRI,
            "def tri(n):\n    return n*3\n",
        ),
        (
            "```python\ndef tri(n):\n    return 0\n```\nno:\n"
            "```python\ndef tri(n):\n    return 12\n```",
            TRI,
            "def tri(n):\n    return 12\n",
        ),
        (
            "Helper:\n```python\nK = 3\n```\nThen:\n```python\ndef tri(n):\n    return n*K\n```",
            TRI,
            "K = 3\n\ndef tri(n):\n    return n*K\n",
        ),
        (
            "Read:\n```python\nn = int(input())\n```\nThen:\n```python\nprint(n*3)\n```",
            TRIPLE,
            "n = int(input())\n\nprint(n*3)\n",
        ),
        (
            "```python\nclass Solution:\n    def tri(self, n):\n        return n*3\n```\n"
            "```python\nprint(Solution().tri(4))\n```",
            TRI,
            "class Solution:\n    def tri(self, n):\n        return n*3\n",
        ),
        ("```python\ntri = lambda n: n*3\n```\n```python\nprint(tri(4))\n```", TRI,
         "tri = lambda n: n*3\n"),
        # Kind 22: shapes of fences.
        (FENCED.replace("\n", "\r\n"), TRIPLE, SOLVED),
        ("  * a\n\n" + "".join(f"      {line}\n" for line in FENCED.split("\n")), TRIPLE, SOLVED),
        ("1. ```python\n   n=int(input())\n   print(n*3)\n   ```", TRIPLE, SOLVED),
        ("> ```python\n> n=int(input())\n> print(n*3)\n> ```", TRIPLE, SOLVED),
        ("The program: ```python\n" + SOLVED + "```", TRIPLE, SOLVED),
        ("~~~~py\n" + SOLVED + "~~~~", TRIPLE, SOLVED),
        ("```Python3.11 title=a\n" + SOLVED + "```", TRIPLE, SOLVED),
        ("```{.python}\n" + SOLVED + "```", TRIPLE, SOLVED),
        ("```main.py\n" + SOLVED + "```", TRIPLE, SOLVED),
        ("```text\n" + SOLVED + "```", TRIPLE, SOLVED),
        ("```python\n" + SOLVED + "```</answer>", TRIPLE, SOLVED),
        ("```python\n" + SOLVED, TRIPLE, SOLVED),
        ("```python\ns = '''\n```\n'''\nprint(s)\n```", [{"stdin": "", "stdout": "```"}],
         "s = '''\n```\n'''\nprint(s)\n"),
        ('```python\ndef tri(n):\n    """\n    ```\n    tri(4)\n    ```\n    """\n'
         '    return n\n```',
         TRI, 'def tri(n):\n    """\n    ```\n    tri(4)\n    ```\n    """\n    return n\n'),
        # Bare code, tags.
        (SOLVED, TRIPLE, SOLVED.rstrip("\n")),
        ("for i in range(int(input())):\n    print(i)", TRIPLE,
         "for i in range(int(input())):\n    print(i)"),
        ("Sure! Here it is:\n\n" + SOLVED + "\nIt multiplies by three.", TRIPLE,
         SOLVED.rstrip("\n")),
        ("if 1:\n    print(12)", TRIPLE, "if 1:\n    print(12)"),
        ("<answer>\nprint(12)\n</answer>", TRIPLE, "print(12)"),
        ("<answer>print(12)</answer>", TRIPLE, "print(12)"),
        ("<answer>\n" + FENCED + "</answer>", TRIPLE, SOLVED),
        ("<answer>\nprint(1)\n</answer>\n<answer>print(12)</answer>", TRIPLE, "print(12)"),
        ("    return n*3", TRI, "    return n*3"),
        # No program.
        ("I do not know.", TRIPLE, None),
        ("The answer is 12.", TRIPLE, None),
        ("12", TRIPLE, None),
        ("x = 12", TRIPLE, None),
        ("Yes", TRIPLE, None),
        ("```cpp\nint main() {}\n```", TRIPLE, None),
        ("It is `print(12)`, I think (but not sure).", TRIPLE, None),
        ("for example: 12", TRIPLE, None),
    ],
)  # fmt: skip
def test_the_program_that_an_answer_means(
    text: str, rows: list[JsonRow], program: str | None
) -> None:
    assert extract_program(text, code.read(rows)) == program


@pytest.mark.parametrize(
    ("program", "rows", "expected"),
    [
        # Kind 12: the builtins of an interpreter.
        ("print(12); exit()", TRIPLE, "correct"),
        ("print(12); quit(0)", TRIPLE, "correct"),
        ("def main():\n    print(12)\n    exit(0)\nmain()\nprint('more')", TRIPLE, "correct"),
        ("print(12); exit(1)", TRIPLE, "incorrect"),
        ("exit()", TRIPLE, "incorrect"),
        ("import os; print(12, flush=True); os._exit(0)", TRIPLE, "correct"),
        ("def tri(n): exit()", TRI, "incorrect"),
        ("exit()\ndef tri(n): return 12", TRI, "incorrect"),
        # Kind 29: digits, markers, future imports.
        ("print(10**5000)", [{"stdin": "", "stdout": "1" + "0" * 5000}], "correct"),
        ("print(int(input()) % 7)", [{"stdin": "9" * 9999, "stdout": "6"}], "incorrect"),
        ("print(int(input()) % 7)", [{"stdin": "9" * 9999, "stdout": str((10**9999 - 1) % 7)}],
         "correct"),
        ("def big(n): return 10**n", [{"function": "big", "args": [5000], "expected": 10**5000}],
         "correct"),
        ("def big(n): return str(10**n)[0]", [{"function": "big", "args": [9000],
                                               "expected": "1"}], "correct"),
        ("\ufefffrom __future__ import annotations\nprint(12)", TRIPLE, "correct"),
        ("'doc'\nfrom __future__ import annotations\ndef tri(n: Int) -> Int: return 12", TRI,
         "correct"),
        ("from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\n"
         "class P:\n    x: int\ndef tri(n): return P(12).x", TRI, "correct"),
        # Kind 28: stacks of threads.
        ("import threading\nthreading.stack_size(1 << 30)\n"
         "t = threading.Thread(target=lambda: print(12)); t.start(); t.join()", TRIPLE, "correct"),
        ("import _thread, threading\n_thread.stack_size(1 << 29)\n"
         "t = threading.Thread(target=lambda: print(12)); t.start(); t.join()", TRIPLE, "correct"),
        # Kind 21: LeetCode.
        ("class Solution:\n    def tri(self, n: int) -> List[int]:\n"
         "        return collections.deque([n * 3])[0]", TRI, "correct"),
        ("class Solution:\n    def tri(self, n):\n"
         "        return 0 if n == 0 else 3 + self.tri(n - 1)",
         [{"function": "tri", "args": [50000], "expected": 150000}], "correct"),
        ("class Solution:\n    @cache\n    def tri(self, n):\n        return n * pow(3, 1, 5)", TRI,
         "correct"),
        ("class Solution:\n    def search(self, n):\n        return n * 3",
         [{"function": "search", "args": [4], "expected": 12}], "correct"),
        ("class Solution: pass", [{"function": "gcd", "args": [8, 12], "expected": 4}],
         "incorrect"),
        ("def tri(n): return collections.deque([12])[0]", TRI, "incorrect"),
        ("def tri(n): return 0 if n == 0 else 3 + tri(n - 1)",
         [{"function": "tri", "args": [5000], "expected": 15000}], "incorrect"),
        # Kind 31: one object for all calls.
        ("class Solution:\n    def __init__(self): self.t = 0\n    def tri(self, n):\n"
         "        self.t += 3 * n; return self.t", TRI * 3, "correct"),
        ("class Solution:\n    t = 0\n    def tri(self, n):\n"
         "        Solution.t += 3 * n; return self.t", TRI * 3, "incorrect"),
        # Kind 36: results in place.
        ("class Solution:\n    def f(self, a): a.sort()",
         [{"function": "f", "args": [[2, 1]], "expected": [1, 2]},
          {"function": "f", "args": [[1, 2]], "expected": [1, 2]}], "correct"),
        ("class Solution:\n    def f(self, a: List[int]) -> None: a[:] = a[::-1]",
         [{"function": "f", "args": [[2, 1]], "expected": [1, 2]}], "correct"),
        ("class Solution:\n    def f(self, a: List[int]) -> List[int]: a.sort()",
         [{"function": "f", "args": [[2, 1]], "expected": [1, 2]}], "incorrect"),
        ("class Solution:\n    def f(self, a): pass",
         [{"function": "f", "args": [[1, 2]], "expected": [1, 2]}], "incorrect"),
        ("class Solution:\n    def f(self, a): a.sort(); return a[:1]",
         [{"function": "f", "args": [[2, 1]], "expected": [1, 2]}], "incorrect"),
        ("class Solution:\n    def f(self, a): a.sort(reverse=True)",
         [{"function": "f", "args": [[2, 1]], "expected": [1, 2]}], "incorrect"),
        ("def f(a): a.sort()", [{"function": "f", "args": [[2, 1]], "expected": [1, 2]}],
         "incorrect"),
        ("class Solution:\n    def f(self, a): a.sort()",
         [{"function": "f", "args": [[2, 1]], "expected": None}], "correct"),
        ("def f(a): a.sort()", [{"check": "def check(candidate):\n    a = [2, 1]\n"
         "    assert candidate(a) is None\n    assert a == [1, 2]", "entry_point": "f"}],
         "correct"),
        ("def f(d): d['a'] = 1", [{"check": "def check(candidate):\n    d = {}\n"
         "    candidate(d)\n    assert d == {'a': 1}", "entry_point": "f"}], "correct"),
        ("def f(a): a.clear(); return []", [{"check": "def check(candidate):\n    a = [2, 1]\n"
         "    assert candidate(a) == sorted(a)", "entry_point": "f"}], "incorrect"),
        ("def f(a): return None", [{"check": "def check(candidate):\n    a = [2, 1]\n"
         "    candidate(a)\n    assert a == [1, 2]", "entry_point": "f"}], "incorrect"),
        ("def f(a): a.append(len(a))", [{"check": "def check(candidate):\n    a = []\n"
         "    for _ in range(3): candidate(a)\n    assert a == [0, 1, 2]", "entry_point": "f"}],
         "correct"),
        # Kind 34: numpy.
        ("import numpy as np\nprint(int(np.full(3, int(input())).sum()))", TRIPLE, "correct"),
        ("import numpy\ndef tri(n): return numpy.int64(n * 3)", TRI, "correct"),
        ("import numpy\ndef tri(n): return numpy.float32(12)", TRI, "correct"),
        ("import numpy\ndef tri(n): return numpy.int64(n * 2)", TRI, "incorrect"),
        ("import numpy\ndef f(n): return numpy.arange(n)",
         [{"function": "f", "args": [2], "expected": [0, 1]}], "incorrect"),
        ("import numpy\ndef f(n): return numpy.arange(n)", [{"check": "def check(candidate):\n"
         "    assert candidate(3).sum() == 3", "entry_point": "f"}], "correct"),
        ("import torch\nprint(12)", TRIPLE, "incorrect"),
        # Kind 36 too: keys that JSON writes as text.
        ("def f(n): return {n: [n]}", [{"function": "f", "args": [5], "expected": {"5": [5]}}],
         "correct"),
        ("def f(n): return {n: 1}", [{"function": "f", "args": [5], "expected": {"05": 1}}],
         "incorrect"),
        ("def f(n): return {n: 1, 'a': 1}",
         [{"function": "f", "args": [5], "expected": {"5": 1, "a": 1}}], "incorrect"),
        # Any order.
        ("def f(): return [[2, 1], [1]]", [{"function": "f", "args": [], "expected": [[1], [2, 1]],
                                            "compare": "any_order"}], "correct"),
        ("def f(): return [2, 2]", [{"function": "f", "args": [], "expected": [2, 1],
                                     "compare": "any_order"}], "incorrect"),
        ("def f(): return 7", [{"function": "f", "args": [], "expected": [7],
                                "compare": "any_order"}], "incorrect"),
    ],
)  # fmt: skip
def test_programs(sandbox: Sandbox, program: str, rows: list[JsonRow], expected: str) -> None:
    assert outcome(sandbox, program, rows) == expected


@pytest.mark.parametrize(
    ("program", "assertion", "expected"),
    [
        # Kind 27: results that are no plain data.
        ("def f(n): return range(n)", "list(candidate(3)) == [0, 1, 2]", "correct"),
        ("def f(n): return range(n)", "candidate(3) == range(3)", "correct"),
        ("def f(n): return range(n)", "candidate(3) == [0, 1, 2]", "incorrect"),
        ("def f(n): yield from 'ab'", "list(candidate(3)) == ['a', 'b']", "correct"),
        ("def f(n):\n    yield 1\n    yield 2", "next(candidate(3)) == 1", "correct"),
        ("def f(n): return map(str, [n])", "sorted(candidate(3)) == ['3']", "correct"),
        ("def f(n): return filter(None, [0, n])", "set(candidate(3)) == {3}", "correct"),
        ("def f(n): return zip([n], 'a')", "dict(candidate(3)) == {3: 'a'}", "correct"),
        ("def f(n): return reversed([1, n])", "tuple(candidate(3)) == (3, 1)", "correct"),
        ("def f(n): return enumerate('a')", "list(candidate(3)) == [(0, 'a')]", "correct"),
        ("def f(n): return {n: 1}.keys()", "candidate(3) == {3}", "correct"),
        ("def f(n): return {n: 1}.items()", "list(candidate(3)) == [(3, 1)]", "correct"),
        ("def f(n): return {n: 1}.values()", "list(candidate(3)) == [1]", "correct"),
        ("import itertools\ndef f(n): return itertools.count(n)",
         "[x for x, _ in zip(candidate(3), range(2))] == [3, 4]", "correct"),
        ("import itertools\ndef f(n): return itertools.count(n)", "sum(candidate(3)) == 3",
         "incorrect"),
        ("def f(n):\n    a, b = 0, 1\n    while True:\n        yield a\n        a, b = b, a + b",
         "[x for x, _ in zip(candidate(3), range(5))] == [0, 1, 1, 2, 3]", "correct"),
        ("from fractions import *\ndef f(n): return Fraction(n, 6)",
         "candidate(3) == 0.5 and candidate(3).denominator == 2", "correct"),
        ("from decimal import *\ndef f(n): return Decimal(n) / 4", "float(candidate(3)) == 0.75",
         "correct"),
        ("from datetime import *\ndef f(n): return date(2024, 1, n) - date(2024, 1, 1)",
         "candidate(3).days == 2", "correct"),
        ("from collections import *\ndef f(n): return deque([n])", "list(candidate(3)) == [3]",
         "correct"),
        ("from collections import *\ndef f(n): return Counter([n])", "candidate(3) == {3: 1}",
         "correct"),
        ("def f(n, kind=None): return isinstance(n, kind)",
         "candidate(3, int) and not candidate(3, str)", "correct"),
        ("def f(n): return type(n)", "candidate(3) is int", "correct"),
        ("def f(n): return type('int', (int,), {})", "candidate(3) is int", "incorrect"),
        ("def f(n): return bytearray(b'a')", "candidate(3) == b'a'", "correct"),
        ("def f(n): return (1 for _ in [n])", "list(candidate(3)) == [2]", "incorrect"),
        ("def f(n):\n    yield 1\n    1 / 0", "list(candidate(3)) == [1]", "incorrect"),
        ("def f(n):\n    while True: pass\n    yield", "list(candidate(3)) == []", "incorrect"),
        ("def f(n):\n    while True: yield 'x' * 10**6", "list(candidate(3)) == []", "incorrect"),
        ("class It:\n    def __iter__(self): return self\n    def __next__(self): return 5\n"
         "    def __eq__(self, other): return True\ndef f(n): return It()", "candidate(3) == 7",
         "incorrect"),
        ("from fractions import *\nclass F(Fraction):\n    def __eq__(self, other): return True\n"
         "def f(n): return F(1, 2)", "candidate(3) == 7", "incorrect"),
        ("def f(n): return range(10**18)", "list(candidate(3)) == [7]", "incorrect"),
    ],
)  # fmt: skip
def test_results_that_are_no_plain_data(
    sandbox: Sandbox, program: str, assertion: str, expected: str
) -> None:
    check = f"def check(candidate):\n    assert {assertion}"
    assert outcome(sandbox, program, [{"check": check, "entry_point": "f"}]) == expected


@pytest.mark.parametrize(
    ("program", "row", "expected"),
    [
        # Kind 19: size.
        ("for i in range(200_000): print(i)",
         {"stdin": "", "stdout": "\n".join(map(str, range(200_000)))}, "correct"),
        ("print('a' * 1_100_000)", {"stdin": "", "stdout": "a" * 1_100_000}, "correct"),
        ("print('a' * 20_000_000)", {"stdin": "", "stdout": "a" * 20_000_000}, "correct"),
        ("def f(n): return [10**20 + i for i in range(n)]",
         {"function": "f", "args": [100_000], "expected": [10**20 + i for i in range(100_000)]},
         "correct"),
        ("def f(s): return s * 2", {"function": "f", "args": ["a" * 10**6],
                                    "expected": "a" * 2 * 10**6}, "correct"),
        ("import sys\nprint('debug' * 10**6, file=sys.stderr)\nprint(7)",
         {"stdin": "", "stdout": "7"}, "correct"),
        ("import sys\ndef f(n):\n    print('debug' * 10**6)\n    return n",
         {"function": "f", "args": [7], "expected": 7}, "correct"),
        ("while True: print('a' * 10**6)", {"stdin": "", "stdout": "a"}, "incorrect"),
        ("import sys\nwhile True: print('a' * 10**6, file=sys.stderr)",
         {"stdin": "", "stdout": "a"}, "incorrect"),
        ("def f(n): return [0] * 10**7", {"function": "f", "args": [7], "expected": 7},
         "incorrect"),
        ("print('7' + '\\n' * 100_000)", {"stdin": "", "stdout": "7"}, "correct"),
    ],
)  # fmt: skip
def test_sizes(sandbox: Sandbox, program: str, row: JsonRow, expected: str) -> None:
    assert outcome(sandbox, program, [row]) == expected


PLUS = """import numpy as np
def is_floats(x):
    return isinstance(x, float) or (isinstance(x, (list, tuple)) and all(map(is_floats, x)))
def assertion(out, exp, atol):
    exact_match = out == exp
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        assert type(out) == type(exp)
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match
inputs = [[1, 2], [0.1, 0.2], [-5, 5]]
results = [3, 0.3, 0]
"""
PLUS_CHECK = PLUS + (
    "def check(candidate):\n"
    "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
    "        assertion(candidate(*inp), exp, 0)\n"
)
PLUS_SCRIPT = PLUS + (
    "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(add(*inp), exp, 0)\n"
)


@pytest.mark.parametrize("check", [PLUS_CHECK, PLUS_SCRIPT], ids=["HumanEval+", "MBPP+"])
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("def add(a, b): return a + b", "correct"),
        ("import numpy as np\ndef add(a, b): return float(np.sum([a, b]))", "correct"),
        ("def add(a, b): return round(a + b)", "incorrect"),
        ("def add(a, b): return 3", "incorrect"),
        ("def add(a, b): 1 / 0", "incorrect"),
        ("import numpy as np\nnp.allclose = lambda *a, **k: True\ndef add(a, b): return 0.7",
         "incorrect"),
        ("import os\ndef add(a, b): os._exit(0)", "incorrect"),
    ],
)  # fmt: skip
def test_tests_of_evalplus(sandbox: Sandbox, check: str, program: str, expected: str) -> None:
    row = {"check": check, "entry_point": "add"}
    assert outcome(sandbox, program, [row]) == expected


CHECKER = "import sys\nout = open(sys.argv[3]).read()\nprint(int(int(out) % 2 == 0))\n"


@pytest.mark.parametrize(
    ("program", "checker", "expected"),
    [
        ("print(8)", CHECKER, "correct"),
        ("print(7)", CHECKER, "incorrect"),
        ("print('many words')", CHECKER, "incorrect"),
        ("", CHECKER, "incorrect"),
        ("print(8)", "from __future__ import annotations\n" + CHECKER, "correct"),
        ("print(8)", "import numpy\n" + CHECKER, "correct"),
        ("print(8)", "1 / 0", "undecided"),
        ("print('many words')", "1 / 0", "undecided"),
        ("print(8)", "print('perhaps')", "undecided"),
        ("print(8)", CHECKER + "exit()", "correct"),
    ],
)  # fmt: skip
def test_a_checker_of_the_row(sandbox: Sandbox, program: str, checker: str, expected: str) -> None:
    row = {"stdin": "", "stdout": "2", "checker": checker}
    assert outcome(sandbox, program, [row]) == expected


def test_many_tests_run_side_by_side_and_stop_at_the_first_failure() -> None:
    rows = [{"stdin": f"{n}\n", "stdout": f"{3 * n}\n"} for n in range(40)]
    with Sandbox(n_workers=2) as sandbox:
        assert outcome(sandbox, SOLVED, rows) == "correct"
        program = "n=int(input())\nprint(n*3 if n < 17 else 0)"
        report = check_code(program, code.read(rows), sandbox, LIMITS)
        assert report.first_failure == 17
        assert len(report.results) == 18
        partial = check_code(program, code.read(rows), sandbox, LIMITS, run_all=True)
        assert partial.score == 17 / 40


def test_an_indented_block_is_a_program_unless_it_is_the_body_of_a_function() -> None:
    text = "**Code:**\n\n    n = int(input())\n    print(n*3)\n"
    assert extract_program(text, code.read(TRIPLE)) == "n = int(input())\nprint(n*3)"
    assert extract_program("    m = n*3\n    return m") == "    m = n*3\n    return m"
