"""Confinement: restrictions that a worker prepares once and a candidate applies before it runs.

    strict     private network, process, mount, IPC and host-name namespaces (as root, or with a
               user namespace); a root folder that contains only Python; plus all of standard,
               but with a writable work folder
    standard   an unused uid if we are root, Landlock, seccomp, rlimits, no capabilities,
               no new privileges; the work folder is read-only

Source: the manual pages of the mechanisms; docs/security.md gives the purpose of each.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from r1kit.verify.sandbox import cgroup, kernel, landlock, mounts, seccomp
from r1kit.verify.sandbox.job import Limits

_UIDS = range(61184, 65520)
"""uids that systemd reserves for dynamic users, so no account has them"""
_claims: list[socket.socket] = []
NAMESPACES = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
)  # fmt: skip


@dataclass
class Confinement:
    """The restrictions on the candidates of one worker, which run one at a time."""

    work_folder: str
    """the work folder"""
    is_strict: bool
    uid: int | None
    """the candidate's uid; None if it is our own"""
    rules: int = -1
    """a Landlock ruleset"""
    library: list[int] = field(default_factory=list)
    """descriptors of the entries of sys.path, if the candidate's uid cannot reach them by path"""
    group: cgroup.ControlGroup | None = None
    mounted_state: tuple[int, int] | None = None
    """disk_mb of the mounted work folder, and its ctime right after mounting"""

    def can_fork(self, limits: Limits) -> bool:
        """Return True if the candidate may fork, which needs a process namespace (strict).

        The kernel ends all children with the first process of a namespace. Without a namespace they
        outlive a killed supervisor, because the parent-death signal is not inherited.
        """
        return limits.processes > 1 and self.is_strict

    def fill_work_folder(self, files: Mapping[str, bytes], disk_mb: int) -> None:
        """Make the work folder contain exactly these files."""
        if self.is_strict:
            self._renew_work_folder(disk_mb)
        else:
            for name in os.listdir(self.work_folder):
                os.unlink(os.path.join(self.work_folder, name))
        for name, data in files.items():
            path = os.path.join(self.work_folder, name)
            with open(path, "wb") as file:
                file.write(data)
            if self.is_strict and self.uid is not None:
                os.chown(path, self.uid, self.uid)

    def _renew_work_folder(self, disk_mb: int) -> None:
        # Mounting costs as much as a fork, so an untouched work folder is reused.
        if self.mounted_state is not None:
            if self.mounted_state == (disk_mb, os.stat(self.work_folder).st_ctime_ns):
                return
            kernel.unmount(self.work_folder)
        mounts.mount_work_folder(disk_mb, self.uid)
        self.mounted_state = (disk_mb, os.stat(self.work_folder).st_ctime_ns)

    def apply(self, limits: Limits, open_fd: int) -> None:
        """Apply all restrictions to the calling process (the candidate), irreversibly.

        Closes every descriptor except the standard streams, `open_fd` and `library`.
        """
        kernel.forbid_new_privileges()
        landlock.restrict(self.rules)
        _close_all_but([open_fd, *self.library])
        os.chdir(self.work_folder)
        _limit(limits, self)
        if self.uid is not None:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        if self.library:
            sys.path[:] = [f"/proc/self/fd/{descriptor}" for descriptor in self.library]
        kernel.die_with_parent()
        kernel.forbid_dumps()
        kernel.drop_capabilities()
        may_fork = self.can_fork(limits)
        kernel.install_filter(seccomp.build(os.getpid(), may_fork, self.is_strict))

    def kill_all(self, pid: int) -> None:
        """Kill all processes of this run, without reaping them."""
        with contextlib.suppress(ProcessLookupError):
            # Strict: -1 is every process of the namespace except us. Standard: no child can exist.
            os.kill(-1 if self.is_strict else pid, signal.SIGKILL)


def enter_namespaces(uid: int | None) -> int | None:
    """Enter new namespaces; the next fork becomes the first process of the process namespace.

    Returns the candidate's uid: `uid`, or None if only our own uid is available. Raises OSError
    with the mechanism's name if the machine does not allow it.
    """
    if uid is not None:
        try:
            kernel.unshare(NAMESPACES)
            return uid
        except PermissionError:
            pass  # root without capabilities needs a user namespace, like any user
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    kernel.unshare(NAMESPACES | kernel.CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{outer_uid} {outer_uid} 1")
    _write("/proc/self/gid_map", f"{outer_gid} {outer_gid} 1")
    return None


def strict(uid: int | None, packages: Sequence[str]) -> Confinement:
    """Return the confinement of level strict; the first process of the namespaces calls this."""
    folders = mounts.readable(packages)
    mounts.enter_new_root(folders)
    confinement = Confinement(mounts.WORK_FOLDER, True, uid)
    confinement.rules = landlock.ruleset(
        folders, mounts.DEVICES, [os.path.dirname(mounts.WORK_FOLDER)]
    )
    return confinement


def standard(uid: int | None, work_folder: str, packages: Sequence[str]) -> Confinement:
    confinement = Confinement(work_folder, False, uid)
    folders = [*mounts.readable(packages), work_folder]
    confinement.rules = landlock.ruleset(folders, mounts.DEVICES, [])
    if uid is not None and not all(map(_is_public, sys.path)):
        entries = [path for path in sys.path if os.path.isdir(path)]
        confinement.library = [os.open(path, os.O_PATH) for path in entries]
    return confinement


def reserve_uid() -> int | None:
    """Reserve an unused uid for the candidates of this worker; None if we are not root.

    The claim is an abstract socket name, held until the worker and its keeper have ended. Raises
    OSError if all uids are in use.
    """
    if os.geteuid() != 0:
        return None
    account_uids = {entry.pw_uid for entry in pwd.getpwall()}
    for uid in (uid for uid in _UIDS if uid not in account_uids):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0r1kit-uid-{uid}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return uid
    raise OSError(errno.EAGAIN, "own uid: all are in use")


def remove_work_folder(work_folder: str) -> None:
    shutil.rmtree(work_folder, ignore_errors=True)


def _limit(limits: Limits, confinement: Confinement) -> None:
    """Set hard and soft limits alike, so that the candidate cannot raise them."""
    memory = _address_space() + (limits.memory_mb << 20)
    counts = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_STACK: memory,
        resource.RLIMIT_CPU: int(limits.cpu_s) + 2,  # the supervisor enforces the exact limit
        resource.RLIMIT_FSIZE: limits.disk_mb << 20,
        resource.RLIMIT_NOFILE: limits.files + len(confinement.library),
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: 64,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    if confinement.is_strict or confinement.uid is not None:  # counted per uid and user namespace
        n_own = 0 if confinement.uid is not None else 2
        counts[resource.RLIMIT_NPROC] = limits.processes + limits.threads + n_own
    for kind, limit in counts.items():
        hard_limit = resource.getrlimit(kind)[1]
        value = limit if hard_limit == resource.RLIM_INFINITY else min(limit, hard_limit)
        resource.setrlimit(kind, (value, value))


def _address_space() -> int:
    """Return the bytes of address space of the bare interpreter, measured before the first job."""
    global _own_address_space
    if _own_address_space == 0:
        raise RuntimeError("measure_address_space has not been called")
    return _own_address_space


_own_address_space = 0


def measure_address_space() -> None:
    """Measure this process's address space; must be called while /proc is still mounted."""
    global _own_address_space
    with open("/proc/self/statm", encoding="ascii") as file:
        _own_address_space = int(file.read().split()[0]) * resource.getpagesize()


def _close_all_but(descriptors: list[int]) -> None:
    start = 3
    for descriptor in [*sorted(descriptors), 1 << 20]:
        os.closerange(start, descriptor)
        start = descriptor + 1


def _is_public(path: str) -> bool:
    """Return True if every user may reach and read this folder, or if it does not exist."""
    if not os.path.isdir(path):
        return True
    ancestors = [path]
    while ancestors[-1] != "/":
        ancestors.append(os.path.dirname(ancestors[-1]))
    return all(os.stat(folder).st_mode & 1 for folder in ancestors) and bool(
        os.stat(path).st_mode & 4
    )


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
