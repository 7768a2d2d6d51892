"""Who may import whom: one direction, and light packages stay light (docs/architecture.md)."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "r1kit"

MAY_IMPORT = {
    "errors": set(),
    "types": set(),
    "processes": set(),
    "files": {"errors"},
    "http": {"types", "errors", "files", "processes"},
    "config": {"types", "errors", "files"},
    "runs": {"errors", "files", "config"},
    "renderers": {"types", "errors"},
    "console": {"errors", "files", "processes", "runs", "renderers"},
    "verify": {"types", "errors", "files"},
    "tasks": {"types", "errors", "files", "config", "renderers", "verify"},
    "curate": {"types", "errors", "files", "config", "renderers", "verify"},
    "model": {"types", "errors", "files", "processes", "config", "runs", "renderers"},
    "engines": {"types", "errors", "files", "http", "processes", "config", "renderers", "model"},
    "train": {"types", "errors", "config", "model"},
    "judges": {"types", "errors", "engines", "renderers", "model", "train"},
    "rollouts": {
        "types",
        "errors",
        "files",
        "http",
        "processes",
        "config",
        "runs",
        "console",
        "renderers",
        "verify",
        "tasks",
        "curate",
        "model",
        "engines",
        "train",
        "judges",
    },
    "evals": {
        "types",
        "errors",
        "files",
        "http",
        "processes",
        "config",
        "runs",
        "console",
        "renderers",
        "verify",
        "tasks",
        "curate",
        "model",
        "engines",
        "judges",
        "rollouts",
    },
    "loadtest": {"errors", "http", "processes", "engines"},
    "serve": {"types", "errors", "files", "http", "processes", "renderers", "model", "engines"},
    "pages": {"errors", "http", "types", "verify"},
}
"""Packages that are not listed (stages, cli, report, ...) may import anything except the server."""

FORBIDDEN_NAMES = {"utils.py", "common.py", "misc.py", "helpers.py"}


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def package(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def imports(path: Path) -> set[str]:
    """Packages of r1kit that this file imports, for types too."""
    result: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("r1kit"):
            parts = node.module.split(".")
            result |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            result |= {name[1] for name in names if name[0] == "r1kit" and len(name) > 1}
    return result


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_imports_go_one_way(name: str) -> None:
    for path in PACKAGE.rglob("*.py"):
        if package(path) == name:
            assert imports(path) - {name} <= MAY_IMPORT[name], path


def test_nothing_but_the_command_knows_the_server() -> None:
    knowing = {package(path) for path in PACKAGE.rglob("*.py") if "serve" in imports(path)}
    assert knowing == {"cli", "serve"}


def test_the_learner_is_blind_to_tasks_and_rewards() -> None:
    text = "".join(path.read_text() for path in (PACKAGE / "train").glob("*.py"))
    for word in (
        "r1kit.tasks",
        "r1kit.rollouts.rewards",
        "r1kit.renderers",
        "r1kit.rollouts.collect",
    ):
        assert word not in text


LIGHT = [
    "r1kit.types",
    "r1kit.config",
    "r1kit.renderers.base",
    "r1kit.tasks.mix",
    "r1kit.judges",
    "r1kit.curate",
    "r1kit.runs.run_dir",
    "r1kit.cli",
    "r1kit.verify.sandbox",
    "r1kit.serve.schema",
    "r1kit.engines.vllm.server",
    "r1kit.engines.openai.endpoint",
    "r1kit.judges.remote",
    "r1kit.evals.benchmark",
    "r1kit.evals.run",
    "r1kit.rollouts.rewards",
    "r1kit.rollouts.rejection",
    "r1kit.rollouts.sample",
    "r1kit.chat",
    "r1kit.loadtest.load_test",
    "r1kit.loadtest.serve_bench",
    "r1kit.model.find",
    "r1kit.stages.pipeline",
    "r1kit.serve.server",
    "r1kit.serve.local",
    "r1kit.watch.server",
]


FORKING = """
import importlib, os, sys
import fastapi, httpx, jinja2, numpy, pydantic, rich.live, typer  # once, for all forks
for module in sys.argv[1:]:
    if os.fork() == 0:
        code = 2
        try:
            importlib.import_module(module)
            code = int('torch' in sys.modules)
        finally:
            os._exit(code)
    print(module, os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_light_rooms_load_no_torch() -> None:
    """Each in a fork of its own, so that it is seen what each loads alone."""
    command = [sys.executable, "-c", FORKING, *LIGHT]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [f"{module} 0" for module in LIGHT], result.stderr


def test_no_file_promises_nothing() -> None:
    assert not FORBIDDEN_NAMES & {path.name for path in PACKAGE.rglob("*.py")}


def test_files_and_functions_stay_one_room() -> None:
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert len(source.splitlines()) <= 400, path
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 75, f"{path}: {node.name} has {length} lines"


THE_CANDIDATE = PACKAGE / "verify" / "sandbox" / "program.py"
"""Executes a candidate, confined, in a process that ends with it."""


def test_outside_text_is_never_executed() -> None:
    for path in set(PACKAGE.rglob("*.py")) - {THE_CANDIDATE}:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "compile", "sympify", "pickle.load",
                                      "pickle.loads", "torch.load", "os.system"), path  # fmt: skip
