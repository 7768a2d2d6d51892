"""The command `r1` as its users meet it: real processes, their output and exit codes."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from r1kit import cli
from r1kit.config import load
from r1kit.console import error_reporting
from r1kit.errors import R1Error
from r1kit.files.atomic import MARKER
from r1kit.runs.run_dir import RunDir
from r1kit.runs.run_reader import read
from tests.forks import Fork, completed
from tests.recipes import LITTLE

R1 = [sys.executable, "-c", "from r1kit.cli import main; main()"]
RECIPE = f"""{LITTLE}[base]
tokens = 3000
batch_tokens = 512
[zero]
n_steps = 2000
n_problems = 2
n_completions = 2
max_tokens = 8
checkpoint_every = 1
[eval]
n_problems = 4
max_tokens = 8
"""


def r1(*arguments: object) -> Result:
    """In this process: importing torch takes seconds."""
    return CliRunner().invoke(cli.app, list(map(str, arguments)))


def r1_alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*R1, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "little.toml"
    path.write_text(RECIPE)
    return path


def test_help_shows_examples_and_loads_no_torch() -> None:
    for command in ("run tiny", "show r", "recipes tiny", "chat r", "verify math"):
        shown = r1(command.split()[0], "--help")
        assert shown.exit_code == 0
        assert f"r1 {command}" in shown.stdout
    code = "import sys, r1kit.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_itself_is_quiet_and_exact() -> None:
    version = r1_alone("--version")
    assert re.fullmatch(r"r1kit \d+\.\d+\.\d+\n", version.stdout)
    missing = r1_alone("run", "none.toml")
    assert missing.returncode == 2
    assert missing.stderr == (
        "error: There is no recipe at none.toml. "
        "`r1 recipes` lists the ones that come with r1kit.\n"
    )
    assert r1_alone("show").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["run", "none.toml"], 2, "There is no recipe at none.toml"),
        (["run", "little.toml", "--set", "zero.n_step=3"], 2, "did you mean 'n_steps'?"),
        (["run", "little.toml", "--track", "mlflow"], 2, "takes trackio, tensorboard, wandb"),
        (["run", "little.toml", "--only", "sleep"], 2, "There is no stage 'sleep'"),
        (["run", "little.toml", "--out", "mine"], 4, "not empty and not a run"),
        (["show", "none"], 4, "There is no run at none"),
        (["show", "mine"], 4, "is not a run"),
        (["verify", "maths", "--jsonl", "little.toml"], 2, "choose one of math, choice"),
        (["verify", "math", "--jsonl", "none"], 2, "There is no file none."),
        (["verify", "math", "--jsonl", "little.toml"], 2, "line 2 is not JSON; line 3 is not JSON"),
        (["chat", "none"], 3, "There is no checkpoint at none"),
        (["chat", "mine"], 3, "holds no model"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(
    recipe: Path,
    arguments: list[str],
    code: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(recipe.parent)
    (recipe.parent / "mine").mkdir()
    (recipe.parent / "mine/thesis.tex").write_text("mine")
    answer = r1(*arguments)
    assert answer.exit_code == code
    assert expected in answer.stderr
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1
    assert "Traceback" not in answer.stderr
    assert [path.name for path in (recipe.parent / "mine").iterdir()] == ["thesis.tex"]


def test_a_run_in_use_is_left_alone(recipe: Path) -> None:
    out = recipe.parent / "out"
    with RunDir.create_or_resume(out, load(recipe)):
        answer = r1("run", recipe, "--out", out)
    assert answer.exit_code == 4
    assert f"in use by process {os.getpid()}" in answer.stderr


def test_show_writes_the_report(recipe: Path) -> None:
    run = recipe.parent / "runs/little"
    with RunDir.create_or_resume(run, load(recipe)) as folder:
        folder.log("zero", 1, {"reward": 1.0, "rewards/accuracy/mean": 0.5})
    answer = r1("show", run)
    assert answer.exit_code == 0
    assert "Report: " in answer.stdout
    assert (run / "report.html").exists()


def test_the_unexpected_is_written_to_the_run_folder(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = recipe.parent / "run"
    with RunDir.create_or_resume(run, load(recipe)) as folder:
        folder.checkpoint_path("zero", 40).mkdir()
        (folder.checkpoint_path("zero", 40) / MARKER).write_text("{}")
    with pytest.raises(typer.Exit) as ended, error_reporting.sentences(Console(), run):
        raise ZeroDivisionError("by a bug")
    assert ended.value.exit_code == error_reporting.UNEXPECTED
    output = capsys.readouterr().err
    assert "something unexpected happened (ZeroDivisionError: by a bug)" in output
    assert "Everything up to step 40 of zero is kept" in output
    assert "Traceback" not in output
    assert "ZeroDivisionError: by a bug" in (run / "crash.txt").read_text()


def test_the_unexpected_without_a_run_folder_is_written_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit), error_reporting.sentences(Console(), tmp_path / "none"):
        raise ValueError
    result = re.search(r"details are in (\S+\.txt)", capsys.readouterr().err)
    assert result is not None
    assert "ValueError" in Path(result[1]).read_text()
    Path(result[1]).unlink()


def test_every_error_has_an_exit_code_that_is_not_zero() -> None:
    kinds: list[type[R1Error]] = [R1Error, *R1Error.__subclasses__()]
    codes = [kind.exit_code for kind in kinds]
    assert 0 not in codes
    assert max(codes) < error_reporting.UNEXPECTED


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_done_and_the_same_command_goes_on(recipe: Path) -> None:
    run = recipe.parent / "runs/little"
    output, shown, code = interrupted([*R1, "run", str(recipe)], run)
    assert code == 130, output
    assert re.search(
        r"Stopped\. Everything up to step \d+ of zero is kept; the same command", output
    )
    assert "Traceback" not in output
    assert "r1kit · little" in shown
    steps = [record["step"] for record in read(run).metrics if record["stage"] == "zero"]
    with Fork([sys.executable, "-m", "r1kit", "run", str(recipe)], cwd=recipe.parent) as again:
        while not (first := re.search(r"^zero (\d+)/", again.output("stdout"), re.MULTILINE)):
            assert again.poll() is None
            time.sleep(0.01)
    assert 1 < int(first[1]) <= max(steps) + 1


def interrupted(command: list[str], run: Path) -> tuple[str, str, int]:
    """Run in a terminal, Ctrl-C after the first step of Zero: (stderr, stdout, exit code)."""
    leader, terminal = pty.openpty()
    shown, is_sent = b"", False
    with subprocess.Popen(
        command, cwd=run.parents[1], stdout=terminal, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(terminal)
        # A terminal whose program has ended reads as an error.
        with contextlib.suppress(OSError):
            while piece := os.read(leader, 65536):
                shown += piece
                if not is_sent and any(run.glob(f"checkpoints/zero-*/{MARKER}")):
                    process.send_signal(signal.SIGINT)
                    is_sent = True
        assert process.stderr is not None
        output = process.stderr.read()
    os.close(leader)
    return output, shown.decode(errors="replace"), process.returncode


def test_doctor_tells_the_machine_and_the_sandbox() -> None:
    assert "r1 doctor --attack" in r1("doctor", "--help").stdout
    answer = completed([sys.executable, "-m", "r1kit", "doctor"])
    assert answer.returncode == 0
    for word in ("Python", "memory", "Landlock", "seccomp", "best level:"):
        assert word in answer.stdout
