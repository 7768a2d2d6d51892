"""Attacks on the resource limits: time, memory, disk, processes, output, descriptors."""

from dataclasses import replace

from r1kit.verify.sandbox.attacks.attack import FAMILY, QUICK, SHORT, Attack
from r1kit.verify.sandbox.job import Ending

_FORK_BOMB = """
import os
while True:
    try: os.fork()
    except OSError: pass
"""
_COUNTED_FORKS = """
import os, time
n = 0
for _ in range(60):
    try:
        if os.fork() == 0: time.sleep(5); os._exit(0)
        n += 1
    except OSError: pass
if n > 15: print('@MARK@')
"""
_THREAD_BOMB = """
import threading, time
threading.stack_size(1 << 15)
n = 0
try:
    while n < 100000: threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); n += 1
except RuntimeError: pass
import os; os._exit(0)
"""
_DISK_BOMB = """
n = 0
try:
    for i in range(400):
        with open(f'f{i}', 'wb') as f: f.write(bytes(1 << 20)); n += 1
except OSError: pass
if n > 20: print('@MARK@')
"""
_INODE_BOMB = """
n = 0
try:
    for n in range(5000): open(f'i{n}', 'w').close()
except OSError: pass
if n > 4000: print('@MARK@')
"""
_FD_BOMB = """
import os
try:
    for n in range(3000): os.dup(1)
except OSError: n = -n
if n > 2000: print('@MARK@')
"""
_RAISE = """
import resource
for kind in range(16):
    try:
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (-1, -1))
        if kind != resource.RLIMIT_RSS and hard != -1: print('@MARK@')
    except (ValueError, OSError): pass
"""
_DOGGED = """
import signal
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass
"""
_FAMILY_MEMORY = """
import os, time
for _ in range(20):
    try:
        if os.fork() == 0: x = bytearray(64 << 20); time.sleep(5); os._exit(0)
    except OSError: pass
"""


def _bomb(name: str, tries: str, layer: str, program: str, *ends: Ending) -> Attack:
    # Attacks that should hit a time limit get a short one; the others get slack for a busy machine.
    limits = SHORT if {"wall", "cpu"} & set(ends) else replace(QUICK, wall_s=5.0, cpu_s=5.0)
    return Attack(name, tries, (layer,), program, limits=limits, ends=ends, effective=False)


ALL = (
    _bomb("sleep", "wait for ever", "wall clock", "import time; time.sleep(99)", "wall"),
    _bomb("busy loop", "compute for ever", "cpu clock", "while True: pass", "cpu", "wall"),
    _bomb("stop itself", "halt and never end", "wall clock",
          "import os; os.kill(os.getpid(), 19)", "wall"),
    _bomb("ignore signals", "survive every polite signal", "kill of the whole tree", _DOGGED,
          "cpu", "wall"),
    _bomb("timer flood", "be interrupted all the time", "cpu clock",
          "import signal\nsignal.signal(14, lambda *a: None)\nsignal.setitimer(0, 1e-6, 1e-6)\n"
          "while True: pass", "cpu", "wall"),
    _bomb("one long operation", "compute in C, deaf to signals", "cpu clock",
          "x = 7 ** 10**8", "cpu", "wall", "memory"),
    _bomb("a slow pattern", "backtrack for ever", "cpu clock",
          "import re; re.match('(a+)+$', 'a' * 60 + 'b')", "cpu", "wall"),
    _bomb("memory at once", "take all memory", "rlimits", "x = bytearray(1 << 36)", "memory"),
    _bomb("gradual memory growth", "take all memory slowly", "rlimits",
          "x = []\nwhile True: x.append(bytearray(1 << 20))", "memory"),
    _bomb("memory by mapping", "map all memory", "rlimits",
          "import mmap; m = mmap.mmap(-1, 1 << 36); print('@MARK@')", "exit", "memory"),
    _bomb("no end of recursion", "overflow the stack", "rlimits",
          "import sys\nsys.setrecursionlimit(10**9)\n"
          "def f(): return [*map(lambda _: f(), [1])]\nf()",
          "signal", "memory", "exit", "cpu", "wall"),
    Attack("memory of parent and children", "take memory in many processes", ("rlimits",),
           _FAMILY_MEMORY,
           limits=FAMILY, effective=False),
    Attack("fork bomb", "fork for ever", ("seccomp",), _FORK_BOMB, limits=SHORT, effective=False),
    Attack("fork bomb of parent and children", "fork for ever if allowed", ("rlimits",),
           _FORK_BOMB, limits=replace(FAMILY, wall_s=0.15), effective=False),
    Attack("more children than allowed", "count how far it gets", ("rlimits",), _COUNTED_FORKS,
           limits=FAMILY, effective=False),
    _bomb("thread bomb", "start threads for ever", "rlimits", _THREAD_BOMB,
          "exit", "wall", "cpu", "memory", "signal"),
    _bomb("one big file", "fill the disk", "rlimits",
          "f = open('x', 'wb')\nfor _ in range(500): f.write(bytes(1 << 20))\nprint('@MARK@')",
          "exit", "signal"),
    _bomb("a sparse file", "make a file that looks big", "rlimits",
          "open('x', 'wb').truncate(1 << 40); print('@MARK@')", "exit", "signal"),
    _bomb("many files", "fill the disk in pieces", "mounts", _DISK_BOMB, "exit"),
    _bomb("many names", "use up the inodes", "mounts", _INODE_BOMB, "exit", "cpu", "wall"),
    _bomb("flood of stdout", "print for ever", "output cap", "while True: print('x' * 9999)",
          "output"),
    _bomb("flood of stderr", "complain for ever", "output cap",
          "import os\nwhile True: os.write(2, bytes(9999))", "output"),
    _bomb("descriptors", "open for ever", "rlimits", _FD_BOMB, "exit"),
    _bomb("raise the limits", "have no limits", "rlimits", _RAISE, "exit"),
    Attack("a core dump", "leave its memory on disk", ("rlimits",),
           "import resource, os\nif resource.getrlimit(resource.RLIMIT_CORE)[1]: print('@MARK@')\n"
           "os.abort()", limits=QUICK, ends=("signal",), effective=False),
)  # fmt: skip
