"""Run the escape suite in this process and print what was found, as JSON.

    python suite.py LEVEL [docker]

With `docker` the calls that make namespaces are refused first, as Docker's default filter does.
Its own file because it runs as other users, whose interpreter has no pytest.
"""

import errno
import json
import platform
import sys
from dataclasses import asdict
from typing import Any, cast

from r1kit.errors import SandboxError
from r1kit.verify.sandbox import Job, Level, Sandbox, kernel, seccomp
from r1kit.verify.sandbox.attacks import ATTACKS
from r1kit.verify.sandbox.attacks.testbed import run_attack


def refuse_namespaces() -> None:
    """unshare, setns, mount and clone with CLONE_NEW* answer EPERM, clone3 ENOSYS."""
    column, _ = seccomp.ARCHITECTURES[platform.machine()]
    op, case, fail = seccomp._op, seccomp._case, seccomp._fail
    code = [op(seccomp._LOAD, seccomp._NUMBER)]
    for number in ((272, 97), (308, 268), (165, 40)):
        code += case(number[column], [fail(errno.EPERM)])
    code += case(435, [fail(errno.ENOSYS)])
    is_new = [op(seccomp._LOAD, 16), op(seccomp._ANY_BIT, 0x7E020000, 0, 1), fail(errno.EPERM)]
    code += case((56, 220)[column], [*is_new, op(seccomp._RETURN, seccomp._ALLOW)])
    code += [op(seccomp._RETURN, seccomp._ALLOW)]
    kernel.forbid_new_privileges()
    kernel.install_filter(b"".join(code))


def main(level: Level, *where: str) -> None:
    if "docker" in where:
        refuse_namespaces()
    answer: dict[str, Any]
    try:
        with Sandbox(level, n_workers=1) as sandbox:
            attacks = [a for a in ATTACKS if not a.only_strict or sandbox.level == "strict"]
            result = [asdict(run_attack(sandbox, attack)) for attack in attacks]
            ending = sandbox.run(Job("print(6 * 7)"))
            answer = {"level": sandbox.level, "found": result, "after": ending.stdout.decode()}
    except SandboxError as error:
        answer = {"refused": str(error), "code": error.exit_code}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(cast(Level, sys.argv[1]), *sys.argv[2:])
