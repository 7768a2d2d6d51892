"""Who may import whom: one direction, and light rooms stay light (docs/architecture.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "r1kit"

MAY_IMPORT = {
    "errors": set(),
    "leash": set(),
    "loading": set(),
    "signals": set(),
    "types": set(),
    "child": {"loading", "signals"},
    "outside": set(),
    "checksums": set(),
    "durable": {"errors", "outside", "checksums"},
    "text_files": {"errors"},
    "shapes": {"errors", "durable", "outside"},
    "config": {"types", "errors", "text_files"},
    "template": {"types", "errors"},
    "verify": {"types", "errors", "outside"},
    "tasks": {"types", "errors", "outside", "text_files", "config", "template", "verify"},
    "rewards": {"types", "template", "verify"},
    "curate": {"types", "errors", "outside", "text_files", "config", "template", "verify"},
    "model": {
        "types",
        "errors",
        "child",
        "text_files",
        "config",
        "template",
        "durable",
        "checksums",
        "shapes",
        "evidence",
    },
    "engines": {"types", "errors", "child", "outside", "loading", "template", "model"},
    "train": {"types", "errors", "config", "model"},
    "judges": {"types", "errors", "engines", "template", "model", "train"},
    "rollout": {"types", "errors", "engines", "template", "rewards"},
    "serve": {
        "types",
        "errors",
        "outside",
        "loading",
        "signals",
        "leash",
        "engines",
        "template",
        "model",
    },
    "pages": set(),
}
"""Rooms that are not listed (stages, cli, report, ...) may import what they like but the server."""

FORBIDDEN_NAMES = {"utils.py", "common.py", "misc.py", "helpers.py"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Rooms of r1kit this file imports at run time."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("r1kit"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {name[1] for name in names if name[0] == "r1kit" and len(name) > 1}
    return found


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_imports_go_one_way(name):
    for path in PACKAGE.rglob("*.py"):
        if room(path) == name:
            assert imports(path) - {name} <= MAY_IMPORT[name], path


def test_nothing_but_the_command_knows_the_server():
    knowing = {room(path) for path in PACKAGE.rglob("*.py") if "serve" in imports(path)}
    assert knowing == {"cli", "serve"}


def test_the_learner_is_blind_to_tasks_and_rewards():
    text = "".join(path.read_text() for path in (PACKAGE / "train").glob("*.py"))
    for word in ("r1kit.tasks", "r1kit.rewards", "r1kit.template", "r1kit.rollout"):
        assert word not in text


LIGHT = ["r1kit.types", "r1kit.config", "r1kit.template", "r1kit.tasks.mix", "r1kit.rewards",
         "r1kit.judges", "r1kit.curate", "r1kit.rundir", "r1kit.cli", "r1kit.verify.sandbox",
         "r1kit.serve.schema", "r1kit.engines.remote", "r1kit.judges.remote", "r1kit.keep",
         "r1kit.sample", "r1kit.chat", "r1kit.load", "r1kit.measured",
         "r1kit.model.find", "r1kit.stages.pipeline",
         "r1kit.serve.server", "r1kit.serve.local"]  # fmt: skip


@pytest.mark.parametrize("module", LIGHT)
def test_light_rooms_load_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_file_promises_nothing():
    assert not FORBIDDEN_NAMES & {path.name for path in PACKAGE.rglob("*.py")}


def test_files_and_functions_stay_one_room():
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert len(source.splitlines()) <= 400, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 75, f"{path}: {node.name} has {length} lines"


THE_CANDIDATE = PACKAGE / "verify" / "sandbox" / "program.py"
"""Executes a candidate, inside the cage, in a process that ends with it."""


def test_outside_text_is_never_executed():
    for path in set(PACKAGE.rglob("*.py")) - {THE_CANDIDATE}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "compile", "sympify", "pickle.load",
                                      "pickle.loads", "torch.load", "os.system"), path  # fmt: skip
