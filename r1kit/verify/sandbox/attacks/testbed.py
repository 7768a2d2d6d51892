"""The testbed: sets up targets to steal or harm, runs an attack, and checks its effects.

Secrets are random for each run. All checks are made from outside the candidate: files, servers, a
victim process, the process table. Linux only, because it reads /proc.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from r1kit.verify.sandbox.attacks.attack import Attack
from r1kit.verify.sandbox.job import Job, RunResult
from r1kit.verify.sandbox.pool import Sandbox

STDIN = b"line 1\nline 2\n"
_SLACK_S = 2.0
_ANSWER_S = 2.0
"""seconds allowed for the victim to answer on a busy machine"""
_SHARED = (Path("/tmp"), Path("/dev/shm"))


@dataclass(frozen=True, slots=True)
class AttackOutcome:
    """The outcome of an attack: `AttackOutcome("TCP", True, "exit 1: PermissionError: ...")`."""

    attack: str
    passed: bool
    """True if the attack failed, or the honest program worked"""
    what: str
    """a phrase: the ending of the program, or the effect by which it succeeded"""


@dataclass
class Testbed:
    """The targets that an attack may find, and the checks of its effects."""

    folder: Path
    secret: str
    mark: str
    victim: subprocess.Popen[bytes]
    servers: dict[str, socket.socket]
    strangers: set[int]  # pids at the depth of candidates that existed before the attack

    def program(self, text: str) -> str:
        """Return the program of an attack with its placeholders filled in for this testbed."""
        tcp, udp = (self.servers[kind].getsockname()[1] for kind in ("tcp", "udp"))
        placeholders = {
            "SECRET_FILE": self.folder / "secret",
            "PREY": self.folder / "prey",
            "FOLDER": self.folder,
            "NAME": self.folder.name,
            "REPO": Path(__file__).parents[3],
            "UNIX": self.folder / "unix",
            "UNIX_DGRAM": self.folder / "datagrams",
            "PORT": tcp,
            "UDP": udp,
            "VICTIM": self.victim.pid,
            "CALLER": os.getpid(),
            "MARK": self.mark,
        }
        for name, value in placeholders.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    def harm(self, stdout: bytes, stderr: bytes) -> str:
        """Describe the harm done by an attack with this output; "" if there is none."""
        if self.mark.encode() in stdout:  # not in stderr: tracebacks quote the program
            return "the program got what it tried"
        if self.secret.encode() in stdout + stderr:
            return "the secret was read"
        for kind, server in self.servers.items():
            if _was_reached(server):
                return f"the {kind} server was reached"
        return self._change() or _leftovers(self.folder.name, self.strangers)

    def _change(self) -> str:
        prey = self.folder / "prey"
        if not prey.exists() or (prey.stat().st_size, prey.stat().st_mode & 0o777) != (4, 0o666):
            return "a file was changed"
        if prey.stat().st_mtime < 1000:
            return "the times of a file were changed"
        if sorted(os.listdir(self.folder)) != ["datagrams", "prey", "secret", "unix"]:
            return "something was made outside"
        if not _answers(self.victim):
            return "another process was ended or stopped"
        if os.getpriority(os.PRIO_PROCESS, self.victim.pid) > os.getpriority(os.PRIO_PROCESS, 0):
            return "another process was slowed"
        return ""


@contextmanager
def open_testbed() -> Iterator[Testbed]:
    """Set up a secret and a file, a victim process, and servers; remove them all afterwards."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="r1-testbed-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o777)
        secret = f"r1-secret-{secrets.token_hex(16)}"
        (folder / "secret").write_text(secret)
        (folder / "prey").write_text("prey")
        (folder / "prey").chmod(0o666)
        os.environ["R1_SCENE_SECRET"] = secret
        stack.callback(os.environ.pop, "R1_SCENE_SECRET")
        victim = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        stack.callback(_end, victim)
        for shared_folder in _SHARED:
            stack.callback((shared_folder / f"{folder.name}-left").unlink, missing_ok=True)
        servers = {kind: stack.enter_context(s) for kind, s in _serve(folder).items()}
        mark = f"won-{secrets.token_hex(8)}"
        yield Testbed(folder, secret, mark, victim, servers, strangers=_candidate_pids())


def run_attack(sandbox: Sandbox, attack: Attack, packages: tuple[str, ...] = ()) -> AttackOutcome:
    """Run one attack in a testbed of its own. The sandbox must have exactly one worker."""
    with open_testbed() as targets:
        gold = (
            targets.secret
        )  # a target in our frames and memory, for the attacks that search there
        programs = [attack.program, attack.then] if attack.then else [attack.program]
        endings = [
            sandbox.run(Job(targets.program(text), STDIN, attack.limits, packages=packages))
            for text in programs
        ]
        outputs = [
            b"".join(texts) for texts in zip(*((e.stdout, e.stderr) for e in endings), strict=True)
        ]
        harm = targets.harm(*outputs)
    assert gold == targets.secret
    return _outcome(attack, endings[0], harm)


def _outcome(attack: Attack, ending: RunResult, harm: str) -> AttackOutcome:
    summary = f"{ending.how}{'' if ending.code is None else f' {ending.code}'}"
    last_line = ending.stderr.decode(errors="replace").strip().splitlines()[-1:]
    summary = ": ".join([summary, *last_line])
    if harm:
        return AttackOutcome(attack.name, False, f"{harm} ({summary})")
    if ending.how == "sandbox":
        return AttackOutcome(attack.name, False, f"the sandbox broke ({summary})")
    if ending.wall_s > attack.limits.wall_s + _SLACK_S:
        return AttackOutcome(attack.name, False, f"held on for {ending.wall_s:.1f} s")
    if attack.ends and ending.how not in attack.ends:
        return AttackOutcome(
            attack.name, False, f"ended otherwise than {'/'.join(attack.ends)}: {summary}"
        )
    if attack.expected is not None and ending.stdout != attack.expected:
        return AttackOutcome(attack.name, False, f"printed {ending.stdout!r} ({summary})")
    return AttackOutcome(attack.name, True, summary)


def _serve(folder: Path) -> dict[str, socket.socket]:
    kinds: dict[str, tuple[int, int, tuple[str, int] | str]] = {
        "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        "unix": (socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "unix")),
        "datagram": (socket.AF_UNIX, socket.SOCK_DGRAM, str(folder / "datagrams")),
        "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{folder.name}"),
    }
    servers = {}
    for name, (family, kind, address) in kinds.items():
        servers[name] = socket.socket(family, kind)
        servers[name].bind(address)
        if kind == socket.SOCK_STREAM:
            servers[name].listen()
        servers[name].setblocking(False)
    for name in ("unix", "datagrams"):
        (folder / name).chmod(0o777)
    return servers


def _was_reached(server: socket.socket) -> bool:
    try:
        if server.type == socket.SOCK_STREAM:
            server.accept()[0].close()
        else:
            server.recv(10)
    except BlockingIOError:
        return False
    return True


def _leftovers(name: str, strangers: set[int]) -> str:
    """Describe files with this name in shared folders and new processes below our workers."""
    for shared_folder in _SHARED:
        if (shared_folder / f"{name}-left").exists():
            return f"a file was left in {shared_folder}"
    return "a process was left behind" if _candidate_pids() - strangers else ""


def _candidate_pids() -> set[int]:
    """Return our great-grandchildren: we start keepers, they fork workers, and those candidates."""
    parents = _parents()
    pids = {os.getpid()}
    for _ in range(3):
        pids = {child for child, parent in parents.items() if parent in pids}
    return pids


def _parents() -> dict[int, int]:
    """Return the parent pid of every process.

    Not read from /proc/PID/task/*/children, which misses the children of a thread that has ended.
    """
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended meanwhile
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return parents


def _answers(victim: subprocess.Popen[bytes]) -> bool:
    """Return True if the victim is running; an earlier signal takes effect before it answers."""
    assert victim.stdin is not None
    assert victim.stdout is not None
    try:
        victim.stdin.write(b"?")
        ready, _, _ = select.select([victim.stdout], [], [], _ANSWER_S)
        return bool(ready) and victim.stdout.read(1) == b"?"
    except BrokenPipeError:
        return False


def _end(victim: subprocess.Popen[bytes]) -> None:
    with victim:
        victim.send_signal(signal.SIGCONT)
        victim.kill()
