"""Honest programs, which must work unchanged in the sandbox."""

from dataclasses import replace

from r1kit.verify.sandbox.attacks.attack import QUICK, Attack

_ROOMY = replace(QUICK, wall_s=5.0, cpu_s=5.0, memory_mb=256)


def _works(name: str, program: str, expected: str, *, only_strict: bool = False) -> Attack:
    return Attack(
        f"honest: {name}", "do its work", (), program,
        limits=_ROOMY, ends=("exit",), effective=False,
        expected=expected.encode(), only_strict=only_strict,
    )  # fmt: skip


ALL = (
    _works("input()", "print(input(), input())", "line 1 line 2\n"),
    _works("sys.stdin.buffer",
           "import sys; b = sys.stdin.buffer\nprint(b.readline(), b.readline())",
           "b'line 1\\n' b'line 2\\n'\n"),
    _works("open(0)", "print(open(0).read().split())", "['line', '1', 'line', '2']\n"),
    _works("os.read", "import os; print(os.read(0, 4))", "b'line'\n"),
    _works("iteration", "import sys\nprint([l.strip() for l in sys.stdin])",
           "['line 1', 'line 2']\n"),
    _works("main", "if __name__ == '__main__': print(__name__)", "__main__\n"),
    _works("big numbers", "print(len(str(7 ** 4000)), 2 ** 200 % 97)", "3381 62\n"),
    _works("decimal", "from decimal import *; getcontext().prec = 30; print(Decimal(1) / 7)",
           "0.142857142857142857142857142857\n"),
    _works("recursion", "import sys; sys.setrecursionlimit(60000)\n"
           "def f(n): return n and 1 + f(n - 1)\nprint(f(40000))", "40000\n"),
    _works("a thread with a deep stack", "import threading\nthreading.stack_size(1 << 26)\n"
           "t = threading.Thread(target=lambda: print('in')); t.start(); t.join()", "in\n"),
    _works("asyncio", "import asyncio\nasync def f(): await asyncio.sleep(0); return 5\n"
           "print(asyncio.run(f()))", "5\n"),
    _works("late imports", "import hashlib, zlib, csv, xml.dom.minidom, unicodedata, uuid\n"
           "print(hashlib.sha256(b'').hexdigest()[:8], len(str(uuid.uuid4())))", "e3b0c442 36\n"),
    _works("sys.exit", "import sys; print(1); sys.exit(0)", "1\n"),
    _works("exit functions", "import atexit; atexit.register(print, 'bye')", "bye\n"),
    _works("unicode", "print('가나다 数 ∑')", "가나다 数 ∑\n"),
    _works("no children", "import os, subprocess\ntry: subprocess.run(['true'])\n"
           "except OSError as error: print(type(error).__name__)", "BlockingIOError\n"),
    _works("a temporary file", "import tempfile\nwith tempfile.TemporaryFile('w+') as f:\n"
           "  f.write('x'); f.seek(0); print(f.read())", "x\n", only_strict=True),
    _works("a file", "open('a', 'w').write('5'); print(open('a').read())", "5\n",
           only_strict=True),
)  # fmt: skip
