"""How runs end, made by hand; and that they leave nobody and nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from r1kit.errors import SandboxError
from r1kit.verify.sandbox import Job, Level, Limits, RunResult, Sandbox, layers, pool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("auto", n_workers=2) as sandbox:
        yield sandbox


def outcome(ending: RunResult) -> tuple[str, int | None, bytes]:
    return ending.how, ending.code, ending.stdout


def test_streams_and_exit_codes(sandbox: Sandbox) -> None:
    assert outcome(sandbox.run(Job("print(int(input()) + 1)", b"41"))) == ("exit", 0, b"42\n")
    assert outcome(sandbox.run(Job("import sys; sys.exit(7)"))) == ("exit", 7, b"")
    assert outcome(sandbox.run(Job("import os; os._exit(9)"))) == ("exit", 9, b"")
    spoken = sandbox.run(Job("import sys; sys.exit('no')"))
    assert (spoken.code, spoken.stderr) == (1, b"no\n")


def test_a_traceback_shows_the_programs_own_lines_and_not_ours(sandbox: Sandbox) -> None:
    text = sandbox.run(Job("def f():\n    return 1 / 0\nf()")).stderr.decode()
    assert text.startswith('Traceback (most recent call last):\n  File "program.py", line 3')
    assert "return 1 / 0" in text
    assert text.endswith("ZeroDivisionError: division by zero\n")
    assert "r1kit" not in text
    wrong = sandbox.run(Job("print('a'\nprint('b')"))
    assert (wrong.code, b"SyntaxError" in wrong.stderr) == (1, True)
    deep = sandbox.run(Job("def f(): f()\nf()"))
    assert (deep.how, deep.code, b"RecursionError" in deep.stderr) == ("exit", 1, True)


@pytest.mark.parametrize(
    ("program", "limits", "how", "code"),
    [
        ("import os; os.abort()", Limits(), "signal", signal.SIGABRT),
        ("import os; os.kill(os.getpid(), 15)", Limits(), "signal", signal.SIGTERM),
        ("import time; time.sleep(9)", Limits(wall_s=0.2), "wall", None),
        ("while True: pass", Limits(cpu_s=0.2), "cpu", None),
        ("x = bytearray(300 << 20)", Limits(memory_mb=200), "memory", 1),
        ("x = bytearray(100 << 20)", Limits(memory_mb=200), "exit", 0),
        ("print('x' * 999, end='')", Limits(output_bytes=999), "exit", 0),
        ("print('x' * 1000, end='')", Limits(output_bytes=999), "output", None),
    ],
)
def test_endings(
    sandbox: Sandbox, program: str, limits: Limits, how: str, code: int | None
) -> None:
    ending = sandbox.run(Job(program, limits=limits))
    assert (ending.how, ending.code) == (how, code)
    assert len(ending.stdout) <= limits.output_bytes
    assert ending.is_clean == (how == "exit")


def test_files_of_a_job_are_there_and_gone_in_the_next(sandbox: Sandbox) -> None:
    look = "import os; print(sorted(os.listdir()))"
    program = f"import extra; print(extra.x, open('a.txt').read()); {look}"
    files = {"extra.py": b"x = 5", "a.txt": b"hi"}
    assert sandbox.run(Job(program, files=files)).stdout == b"5 hi\n['a.txt', 'extra.py']\n"
    assert {e.stdout for e in sandbox.map([Job(look)] * 4)} == {b"[]\n"}


def test_a_job_is_a_program_of_python_with_arguments_and_a_beginning(sandbox: Sandbox) -> None:
    argv = Job("import sys; print(sys.argv[1:])", arguments=("a b", "가"))
    assert sandbox.run(argv).stdout.decode() == "['a b', '가']\n"
    program = "from __future__ import annotations\nprint(x, __name__)"
    assert sandbox.run(Job(program, preamble="x = 5")).stdout == b"5 __main__\n"
    assert sandbox.run(Job("\ufeffprint(len(str(10**5000))); exit(3)")).code == 3
    failed = sandbox.run(Job("print(x)", preamble="1/0"))
    assert (failed.code, failed.stdout, b"preamble.py" in failed.stderr) == (1, b"", True)


def test_output_of_64_mib_passes_and_the_end_of_stderr_is_kept(sandbox: Sandbox) -> None:
    whole = sandbox.run(Job("print('x' * ((64 << 20) - 1))"))
    assert (whole.how, len(whole.stdout)) == ("exit", 64 << 20)
    assert sandbox.run(Job("print('x' * (64 << 20))")).how == "output"
    loud = sandbox.run(Job("import sys; sys.stderr.write('x' * (3 << 20)); 1/0"))
    assert loud.stderr.endswith(b"ZeroDivisionError: division by zero\n")
    assert len(loud.stderr) == 1 << 16
    endless = "import sys\nwhile True: sys.stderr.write('x' * (1 << 20))"
    assert sandbox.run(Job(endless, limits=Limits(wall_s=9, cpu_s=9))).how == "output"


def test_an_image_has_the_packages_that_are_listed_and_no_others(sandbox: Sandbox) -> None:
    program = "import numpy as np; print(np.arange(5).sum(), np.linalg.det(np.eye(2)))"
    assert sandbox.run(Job(program, packages=("numpy",))).stdout == b"10 1.0\n"
    assert b"ModuleNotFoundError" in sandbox.run(Job(program)).stderr
    for other in ("torch", "pytest", "r1kit"):
        ending = sandbox.run(Job(f"import {other}", packages=("numpy",)))
        assert b"ModuleNotFoundError" in ending.stderr
    change = "import numpy; open(numpy.__file__, 'a')"
    assert b"Error" in sandbox.run(Job(change, packages=("numpy",))).stderr
    huge = Job("import numpy; numpy.ones(10**9)", packages=("numpy",))
    assert sandbox.run(huge).how == "memory"
    missing = sandbox.run(Job("print(1)", packages=("nosuchpackage",)))
    assert (missing.how, b"nosuchpackage is not installed" in missing.stderr) == ("sandbox", True)


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "", "..", "a\0"])
def test_files_have_plain_names(name: str) -> None:
    with pytest.raises(ValueError, match="plain name"):
        Job("", files={name: b""})


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="wall_s is positive"):
        Limits(wall_s=0)


def test_map_keeps_the_order_and_large_input_arrives_whole(sandbox: Sandbox) -> None:
    jobs = [Job(f"print({n})") for n in range(40)]
    assert [e.stdout for e in sandbox.map(jobs)] == [b"%d\n" % n for n in range(40)]
    echo = Job("import sys; print(len(sys.stdin.buffer.read()))", b"x" * 5_000_000)
    assert sandbox.run(echo).stdout == b"5000000\n"


def test_a_family_may_fork_when_it_is_allowed_to(sandbox: Sandbox) -> None:
    if sandbox.level != "strict":
        pytest.skip("children need a process namespace")
    program = (
        "import os\nif os.fork() == 0: os._exit(3)\nprint(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    assert sandbox.run(Job(program, limits=Limits(processes=2))).stdout == b"3\n"
    assert b"BlockingIOError" in sandbox.run(Job(program)).stderr


def test_a_family_shares_the_memory_of_one() -> None:
    has_group = any(layer.is_there for layer in layers() if layer.name == "cgroup")
    before = set(children(os.getpid()))
    with Sandbox("auto", n_workers=1) as sandbox:
        if not has_group or sandbox.level != "strict":
            pytest.skip("no control group can be made here, or no process namespace")
        program = (
            "import os, time\n"
            "for _ in range(4):\n"
            "    if os.fork() == 0: x = bytearray(90 << 20); time.sleep(0.5); os._exit(0)\n"
            "print(sum(os.wait()[1] == 9 for _ in range(4)))"
        )
        limits = Limits(memory_mb=100, disk_mb=2, processes=6)
        assert sandbox.run(Job(program, limits=limits)).stdout in (b"2\n", b"3\n")
        assert sandbox.run(Job("print(1)")).stdout == b"1\n"
        [keeper] = set(children(os.getpid())) - before
        groups = list(Path("/sys/fs/cgroup").glob(f"**/r1kit-{keeper}"))
        assert groups
    assert not [group for group in groups if group.exists()]


def test_a_lost_worker_is_replaced() -> None:
    before = set(children(os.getpid()))
    with Sandbox("auto", n_workers=1) as sandbox:
        assert sandbox.run(Job("print(1)")).is_clean
        [keeper] = set(children(os.getpid())) - before
        [worker] = children(keeper)
        os.kill(worker, signal.SIGKILL)
        assert sandbox.run(Job("print(2)")).stdout == b"2\n"


def test_a_worker_that_hangs_is_ended_and_its_box_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_GRACE_S", 0.3)
    before = set(children(os.getpid()))
    with Sandbox("standard", n_workers=1) as sandbox:
        work_folder = Path(
            sandbox.run(Job("import os; print(os.getcwd())")).stdout.decode().strip()
        )
        assert work_folder.exists()
        [keeper] = set(children(os.getpid())) - before
        [worker] = children(keeper)
        os.kill(worker, signal.SIGSTOP)
        assert sandbox.run(Job("print(2)", limits=Limits(wall_s=0.5))).stdout == b"2\n"
        assert not is_alive(keeper)
        assert not is_alive(worker)
    assert not work_folder.exists()


def test_a_closed_sandbox_says_so() -> None:
    with pytest.raises(SandboxError, match="with Sandbox"):
        Sandbox("auto").run(Job(""))


def test_every_layer_is_told_with_a_reason() -> None:
    actual = {layer.name: layer.why for layer in layers()}
    assert {"namespaces", "own root", "Landlock", "seccomp", "rlimits"} <= actual.keys()
    assert all(actual.values())


def test_no_zombie_no_orphan_and_no_descriptor_after_many_runs() -> None:
    before = children(os.getpid()), os.listdir("/proc/self/fd")
    with Sandbox("auto", n_workers=2) as sandbox:
        spawn = "import os, time\nif os.fork() == 0: time.sleep(60)"
        jobs = [Job(spawn, limits=Limits(processes=4)), Job("1/0"), Job("print(1)")] * 100
        assert {e.how for e in sandbox.map(jobs)} == {"exit"}
        keepers = set(children(os.getpid())) - set(before[0])
        workers = [child for keeper in keepers for child in children(keeper)]
        assert len(workers) == len(keepers) == 2
        assert [child for worker in workers for child in children(worker)] == []
        if os.geteuid() == 0:  # a worker keeps its descriptors from everybody else
            open_files = {len(os.listdir(f"/proc/{worker}/fd")) for worker in workers}
            assert max(open_files) < 12
    assert (children(os.getpid()), os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("level", ["strict", "standard"])
def test_killing_the_caller_leaves_nothing(level: Level) -> None:
    may_fork = level == "strict"
    program = "import os\n" + "os.fork()\n" * may_fork + "while True: pass"
    code = (
        "from r1kit.verify.sandbox import *; import threading, time\n"
        f"with Sandbox({level!r}, n_workers=2) as s:\n"
        "  s.map([Job('')] * 4)\n"
        "  threading.Timer(0.3, print, ('running',), {'flush': True}).start()\n"
        f"  s.map([Job({program!r}, limits=Limits(60, 60, processes=4))] * 2)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "TMPDIR": "/tmp"}
    caller = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    with caller:
        assert caller.stdout is not None
        assert caller.stderr is not None
        if caller.stdout.readline() != b"running\n":
            pytest.skip(f"no level {level}: {caller.stderr.read().decode()[-300:]}")
        family = descendants(caller.pid)
        work_folders = set(Path("/tmp").glob("r1-box-*"))
        assert len(family) == 6 + 2 * may_fork  # two keepers, workers, candidates, their children
        caller.kill()
    deadline = time.monotonic() + 5
    while any(map(is_alive, family)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in family if is_alive(pid)] == []
    if level == "standard":
        assert len(work_folders & set(Path("/tmp").glob("r1-box-*"))) <= len(work_folders) - 2


@pytest.mark.parametrize("level", ["strict", "standard"])
def test_a_fork_bomb_ends_with_its_supervisors(level: Level) -> None:
    """Where children could outlive a supervisor that is killed, there are none."""
    code = (
        "from r1kit.verify.sandbox import *; import threading\n"
        f"with Sandbox({level!r}, n_workers=1) as s:\n"
        "  s.run(Job(''))\n"
        "  threading.Timer(0.3, print, ('running',), {'flush': True}).start()\n"
        "  bomb = 'import os\\nwhile True:\\n  try: os.fork()\\n  except OSError: pass'\n"
        "  s.run(Job(bomb, limits=Limits(20, 20, processes=6)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment,
        stderr=subprocess.PIPE,
    ) as caller:  # fmt: skip
        assert caller.stdout is not None
        assert caller.stderr is not None
        if caller.stdout.readline() != b"running\n":
            pytest.skip(f"no level {level}: {caller.stderr.read().decode()[-300:]}")
        family = descendants(caller.pid)
        assert len(family) == 3 if level == "standard" else len(family) > 3
        for pid in (*family[:2], caller.pid):  # keeper and worker first
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(map(is_alive, family)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in family if is_alive(pid)] == []


def children(pid: int) -> list[int]:
    # Not /proc/PID/task/*/children: it misses those of a thread that ends just now.
    return sorted(child.pid for child in psutil.Process(pid).children())


def descendants(pid: int) -> list[int]:
    return [p for child in children(pid) for p in (child, *descendants(child))]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
