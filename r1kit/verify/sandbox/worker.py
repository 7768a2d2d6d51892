"""A worker: a small warm interpreter that forks candidates; never itself forked from torch.

    caller ── socket ── worker ── fork ── candidate        at strict the worker is process 1 of
       └─ keeper ─────────┘                                its namespace, which ends with it

The keeper starts as a child of the caller and creates the namespaces and the worker. Then it waits
until the caller or the worker is gone, kills the worker, cleans up and exits. A worker has an empty
environment and never receives an expected answer.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import tempfile
from typing import Any, NoReturn

from r1kit.verify.sandbox import (
    cgroup,
    confinement,
    kernel,
    packages,
    program,
    supervise,
    wire,
)
from r1kit.verify.sandbox.job import Job, Limits, RunResult

_WARM = """
array bisect collections collections.abc copy dataclasses datetime decimal enum fractions functools
heapq io itertools json math operator os random re statistics string sys time typing
"""
"""the most common imports of programs, imported once in the worker"""

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(control: socket.socket) -> None:
    """Start a worker at the requested level and become its keeper."""
    request, _ = wire.receive(control)
    caller = os.pidfd_open(request["caller"])
    if os.getppid() != request["caller"]:
        return
    work_folder, group = "", None
    try:
        for name in _WARM.split():
            __import__(name)
        program.complete_builtins()
        if request["packages"]:
            packages.load(request["packages"], request["folders"])
        confinement.measure_address_space()
        uid = confinement.reserve_uid()
        with contextlib.suppress(OSError):  # if it is unavailable, `r1 doctor` says why
            group = cgroup.make()
        if request["level"] == "strict":
            uid = confinement.enter_namespaces(uid)
        else:
            work_folder = tempfile.mkdtemp(prefix="r1-box-")
            os.chmod(work_folder, 0o755)
        keeper = os.pidfd_open(os.getpid())
        pid = os.fork()
        if pid == 0:
            _work(control, keeper, uid, work_folder, request["folders"], group)
        control.close()
        _keep(caller, pid)
    except Exception as error:
        wire.send(control, {"error": _phrase(error)})
    finally:
        if group:
            group.remove()
        if work_folder:
            confinement.remove_work_folder(work_folder)


def _keep(caller: int, worker: int) -> None:
    """Wait for the end of caller or worker, or for a signal; then kill and reap the worker."""
    poll = select.poll()
    for descriptor in (caller, os.pidfd_open(worker)):
        poll.register(descriptor, select.POLLIN)
    try:
        for number in _ENDING:
            signal.signal(number, lambda *_: sys.exit())
        poll.poll()
    finally:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def _work(
    control: socket.socket,
    keeper: int,
    uid: int | None,
    work_folder: str,
    folders: list[str],
    group: cgroup.ControlGroup | None,
) -> NoReturn:
    """Enter the sandbox, report readiness or an error, and run jobs until the caller hangs up."""
    try:
        kernel.die_with_parent()
        if select.select([keeper], [], [], 0)[0]:
            raise EOFError("the keeper had died before")
        os.close(keeper)
        if group:
            group.enter()
        own_confinement = (
            confinement.standard(uid, work_folder, folders)
            if work_folder
            else confinement.strict(uid, folders)
        )
        own_confinement.group = group
        kernel.forbid_dumps()
        gc.collect()
        gc.freeze()  # keeps the pages of the warm heap shared with the candidates
        wire.send(control, {"ready": True})
        while True:
            head, blobs = wire.receive(control)
            ending = supervise.run(own_confinement, _job(head, blobs))
            _answer(control, ending)
    except EOFError:
        os._exit(0)
    except BaseException as error:
        wire.send(control, {"error": _phrase(error)})
    finally:
        os._exit(1)


def _job(head: dict[str, Any], blobs: list[bytes]) -> Job:
    files = dict(zip(head["files"], blobs[3:], strict=True))
    source, preamble = blobs[0].decode(), blobs[2].decode()
    limits, arguments = Limits(**head["limits"]), tuple(head["arguments"])
    return Job(source, blobs[1], limits, files, arguments, preamble)


def _phrase(error: BaseException) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else repr(error)


def _answer(control: socket.socket, ending: RunResult) -> None:
    head = {"how": ending.how, "code": ending.code, "wall": ending.wall_s, "cpu": ending.cpu_s}
    wire.send(control, head, [ending.stdout, ending.stderr])
