"""Probe the sandbox mechanisms of this machine: each is tried once, in a separate process.

`layers` starts a bare interpreter (no threads, no torch), which forks once per mechanism. A
mechanism counts only if it has its effect; the existence of a system call proves nothing.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from r1kit.verify.sandbox import cgroup, confinement, kernel, landlock, mounts, seccomp, wire


@dataclass(frozen=True, slots=True)
class Layer:
    """A sandbox mechanism: `Layer("Landlock", True, "ABI 7: files, TCP, signals")`."""

    name: str
    is_there: bool
    why: str
    """a phrase: its effect on this machine, or the reason why it is missing"""


def main(control: socket.socket) -> None:
    """Try every mechanism and send the results; runs in the bare interpreter."""
    rows = [[name, *_in_child(attempt)] for name, attempt in _ATTEMPTS.items()]
    wire.send(control, {"layers": rows})


def _in_child(attempt: Callable[[], str]) -> tuple[bool, str]:
    """Run an attempt in a forked child; return (True, its answer) or (False, the error)."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = f"+{attempt()}"
        except BaseException as error:
            answer = f"-{getattr(error, 'strerror', None) or error}"
        os.write(writer, answer.encode()[:500])
        os._exit(0)
    os.close(writer)
    text = os.read(reader, 500).decode() or "-the process was killed"
    os.close(reader)
    os.waitpid(pid, 0)
    return text[0] == "+", text[1:]


def _user_namespace() -> str:
    kernel.unshare(kernel.CLONE_NEWUSER)
    return "anybody may make one"


def _namespaces() -> str:
    confinement.enter_namespaces(confinement.reserve_uid())
    return "process, mount, network, IPC and host name"


def _root_folder() -> str:
    confinement.enter_namespaces(confinement.reserve_uid())
    is_inside, why = _in_child(_enter_root)
    if not is_inside:
        raise OSError(why)
    return why


def _enter_root() -> str:
    mounts.enter_new_root(mounts.readable())
    if os.path.exists("/etc/passwd"):
        raise OSError("the old root is still there")
    return "a root folder with nothing but Python"


def _landlock() -> str:
    version = landlock.abi()
    kernel.forbid_new_privileges()
    landlock.restrict(landlock.ruleset([], [], []))
    try:
        os.listdir("/")
    except PermissionError:
        features = ["files", *["TCP"] * (version >= landlock.TCP)]
        features += ["signals"] * (version >= landlock.SCOPES)
        return f"ABI {version}: {', '.join(features)}"
    raise OSError("it has no effect")


def _seccomp() -> str:
    kernel.forbid_new_privileges()
    kernel.install_filter(seccomp.build(os.getpid(), may_fork=False, may_write=False))
    try:
        socket.socket()
    except PermissionError:
        return "system calls by an allow list"
    raise OSError("it has no effect")


def _rlimits() -> str:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))
    try:
        bytearray(1 << 29)
    except MemoryError:
        return "memory, files, CPU, descriptors"
    raise OSError("RLIMIT_AS has no effect")


def _cgroup() -> str:
    group = cgroup.make()
    pid = os.fork()
    if pid == 0:
        group.enter()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    group.remove()
    if status:
        raise OSError("it cannot be entered")
    return "memory and processes of a job together"


def _own_uid() -> str:
    uid = confinement.reserve_uid()
    if uid is None:
        raise OSError("needs root; without it user namespaces keep candidates apart")
    os.setresuid(uid, uid, uid)
    return f"uid {uid}, which no user has"


_ATTEMPTS: dict[str, Callable[[], str]] = {
    "user namespaces": _user_namespace,
    "namespaces": _namespaces,
    "own root": _root_folder,
    "Landlock": _landlock,
    "seccomp": _seccomp,
    "rlimits": _rlimits,
    "own uid": _own_uid,
    "cgroup": _cgroup,
}


def bubblewrap() -> Layer:
    """Find and try bubblewrap; it is not used, because it would start an interpreter per run."""
    path = shutil.which("bwrap")
    if path is None:
        return Layer("bubblewrap", False, "not installed, and not needed")
    command = [path, "--unshare-all", "--ro-bind", "/", "/", sys.executable, "-I", "-S", "-c", ""]
    try:
        result = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Layer("bubblewrap", False, str(error))
    if result.returncode:
        return Layer("bubblewrap", False, result.stderr.decode(errors="replace").strip())
    return Layer("bubblewrap", True, "works; not used, a warm worker is faster and needs less")
