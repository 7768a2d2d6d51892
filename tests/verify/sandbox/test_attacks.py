"""The escape suite: held at every level and as several users, effective when unconfined."""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.errors import SandboxError
from r1kit.types import Json
from r1kit.verify.sandbox import Level, Sandbox
from r1kit.verify.sandbox.attacks import ATTACKS, files, reach
from r1kit.verify.sandbox.attacks.attack import Attack
from r1kit.verify.sandbox.attacks.testbed import STDIN, open_testbed, run_attack

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
SUITE = Path(__file__).parent / "suite.py"
PACKAGE = Path(__file__).parents[3] / "r1kit"
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65534


@functools.cache
def why_not(level: Level) -> str:
    """Why this machine does not give the level, or ""."""
    try:
        with Sandbox(level, n_workers=1):
            return ""
    except SandboxError as error:
        return str(error)


@pytest.fixture(scope="module", params=["strict", "standard"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if why_not(request.param):
        pytest.skip(why_not(request.param))
    with Sandbox(request.param, n_workers=1) as sandbox:
        yield sandbox


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name.replace(" ", "-"))
def test_the_cage_holds(sandbox: Sandbox, attack: Attack) -> None:
    if attack.only_strict and sandbox.level != "strict":
        pytest.skip("not promised at this level")
    finding = run_attack(sandbox, attack)
    assert finding.passed, finding.what


def test_the_cage_holds_with_packages(sandbox: Sandbox) -> None:
    """An image differs in its folders, so the attacks on files and processes are tried."""
    attacks = [
        a for a in (*files.ALL, *reach.ALL) if sandbox.level == "strict" or not a.only_strict
    ]
    found = [run_attack(sandbox, attack, ("numpy",)) for attack in attacks]
    assert [finding for finding in found if not finding.passed] == []


@pytest.mark.skipif(not IS_ROOT, reason="some attacks need root to succeed unconfined")
@pytest.mark.parametrize(
    "attack",
    [a for a in ATTACKS if a.effective],
    ids=lambda attack: attack.name.replace(" ", "-"),
)
def test_without_a_cage_the_attack_wins(attack: Attack, tmp_path: Path) -> None:
    with open_testbed() as around:
        output = [b"", b""]
        for program in filter(None, (attack.program, attack.then)):
            command = [sys.executable, "-I", "-S", "-c", around.program(program)]
            result = subprocess.run(
                command, input=STDIN, capture_output=True, timeout=20, cwd=tmp_path, check=False
            )
            output = [output[0] + result.stdout, output[1] + result.stderr]
        deadline = time.monotonic() + 1  # a signal takes its time
        while not (harm := around.harm(*output)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not harm:
            unknown = b"Function not implemented" in output[1] or b"Errno 1]" in output[1]
            assert unknown, output  # a kernel without the call; a container that forbids it
            pytest.skip("the machine itself does not allow it")


def test_the_attacks_that_the_documentation_names_exist() -> None:
    page = (PACKAGE.parent / "docs" / "security.md").read_text(encoding="utf-8")
    table = page.split("### Layers")[1].split("An attack tells")[0]
    rows = [line.split("|")[3] for line in table.splitlines() if line.startswith("| ")][1:]
    named = {name.strip() for row in rows for name in row.split(";")}
    assert named <= {attack.name for attack in ATTACKS}


def run_suite(command: list[str], *arguments: str) -> Json:
    """The text of the suite travels by -c: the other user cannot read this folder."""
    code = SUITE.read_text(encoding="utf-8")
    result = subprocess.run([*command, "-c", code, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    answer: Json = json.loads(result.stdout)
    return answer


def assert_held(answer: Json, level: Level) -> None:
    assert answer.get("level") == level, answer
    assert [f for f in answer["found"] if not f["passed"]] == []
    assert answer["after"] == "42\n"


@pytest.fixture
def as_nobody() -> Iterator[list[str]]:
    """An interpreter run by an ordinary user, with copies of what that user cannot read here.

    Not below pytest's own folder, which pytest keeps to its user.
    """
    if not IS_ROOT:
        yield ["env", f"PYTHONPATH={PACKAGE.parent}", sys.executable]
        return
    with tempfile.TemporaryDirectory(prefix="r1-nobody-") as folder:
        yield interpreter_of_nobody(Path(folder))


def interpreter_of_nobody(home: Path) -> list[str]:
    home.chmod(0o755)
    shutil.copytree(PACKAGE, home / "src" / "r1kit")
    (home / "python").mkdir()
    script = (
        f"mount --bind {sys.base_prefix} {home}/python && cd / && "
        f"exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups "
        f"env -i PATH=/usr/bin:/bin PYTHONPATH={home}/src LD_LIBRARY_PATH={home}/python/lib "
        f'{home}/python/bin/python{sys.version_info[0]}.{sys.version_info[1]} -S "$@"'
    )
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"]
    tried = subprocess.run([*command, "-c", "import ctypes"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"cannot run Python as an ordinary user here: {tried.stderr[-200:]}")
    return command


@pytest.mark.parametrize("level", ["strict", "standard"])
def test_the_cage_holds_as_an_ordinary_user(as_nobody: list[str], level: Level) -> None:
    answer = run_suite(as_nobody, level)
    if "refused" in answer:
        pytest.skip(answer["refused"])
    assert_held(answer, level)


def test_in_a_container_strict_refuses_and_standard_holds() -> None:
    if why_not("standard"):
        pytest.skip(why_not("standard"))
    command = ["env", f"PYTHONPATH={PACKAGE.parent}", sys.executable]
    refused = run_suite(command, "strict", "docker")
    assert refused["code"] == 7
    assert "strict cannot be had here: unshare: Operation not permitted" in refused["refused"]
    assert_held(run_suite(command, "auto", "docker"), "standard")
