"""Sixty mistakes in a terminal, each told in a sentence that is true and says what to do next."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from r1kit import cli
from r1kit.config import load
from r1kit.console.error_reporting import UNEXPECTED
from r1kit.errors import R1Error
from r1kit.files.atomic import MARKER
from r1kit.processes.signals import ENDING
from r1kit.runs.run_dir import RunDir

RECIPE = 'name = "little"\n[[tasks]]\nname = "equation"\n'
ROW = '{"id": 1, "gold": "5", "text": "5"}\n'
QUESTION = '{"problem": "1+1", "answer": "2"}\n'
BINARY = bytes(range(256))
PYTHON = re.compile(
    r"Traceback|Errno|[Tt]uple|Input should|NoneType|valid dict|<class|Error:|unexpected"
)
"""what a person who knows no Python cannot read"""
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and /dev/full")


def r1(line: str) -> Result:
    return CliRunner().invoke(cli.app, shlex.split(line))


@pytest.fixture(autouse=True)
def _at_the_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, files that are right, and files that are not; no mistake changes it."""
    desk = tmp_path_factory.mktemp("desk")
    files = {
        "ok.toml": RECIPE,
        "empty": "",
        "rows.jsonl": ROW,
        "list.json": json.dumps([json.loads(ROW)], indent=1),
        "questions.jsonl": QUESTION,
        "no-answer.jsonl": '{"problem": "1+1"}\n',
        "thesis.tex": "mine",
        "talk.jsonl": '{"messages": [{"role": "user", "content": "hi"}]}\n',
        "half.toml": 'name = "little',
    }
    for name, text in files.items():
        (desk / name).write_text(text, encoding="utf-8")
    for name in ("binary", "binary.jsonl", "binary.toml"):
        (desk / name).write_bytes(BINARY)
    (desk / "folder").mkdir()
    with RunDir.create_or_resume(desk / "runs/little", load(desk / "ok.toml")) as run:
        run.checkpoint_path("zero", 9).mkdir()
        (run.checkpoint_path("zero", 9) / MARKER).write_text("{}")
        run.mark_finished("base", {})
    return desk


MISTAKES = [
    # a name
    ("run ok.tml", 2, "did you mean ok.toml? `r1 recipes` lists"),
    ("run tniy", 2, "did you mean tiny?"),
    ("run recipes/smoke.toml", 2, "There is no recipe at recipes/smoke.toml; did you mean smoke?"),
    ("run folder", 2, "folder is a folder; name a recipe file in it."),
    ("recipes tniy", 2, "did you mean tiny?"),
    ("run ok.toml --only zeor", 2, "There is no stage 'zeor' for --only; there are base, zero."),
    ("run ok.toml --track mlflow", 2, "--track takes trackio, tensorboard, wandb"),
    ("show runs/litle", 4, "There is no run at runs/litle; did you mean runs/little?"),
    ("show runs", 4, "runs is not a run"),
    ("show ok.toml", 4, "There is no run at ok.toml"),
    ("chat runs/litle", 3, "no checkpoint at runs/litle; did you mean runs/little?"),
    ("chat nobody/none", 3, "HF_HUB_OFFLINE is set"),
    ("chat folder", 3, "folder holds no model (no config.json)"),
    ("chat ok.toml", 3, "There is no checkpoint at ok.toml"),
    (f"chat {'x' * 300}", 3, f"There is no checkpoint at {'x' * 300}. Name a folder that"),
    ("chat http://", 2, "A server's address is http://host:port/v1"),
    ("serve", 2, "Name a model to serve"),
    ("serve runs/litle", 3, "did you mean runs/little?"),
    ("serve runs/little --engine vlm", 2, "There is no engine 'vlm'"),
    ("serve --bench", 2, "Name what to measure"),
    ("sample runs/litle --problems questions.jsonl --out d.jsonl", 3, "did you mean runs/little?"),
    ("sample x --problems tniy --out d.jsonl", 2, "a name that `r1 recipes` lists"),
    ("sample x --problems question.jsonl --out d.jsonl", 2, "did you mean questions.jsonl?"),
    ("verify maths --jsonl rows.jsonl", 2, "There is no verifier 'maths'; choose one of math"),
    ("verify math --jsonl row.jsonl", 2, "There is no file row.jsonl; did you mean rows.jsonl?"),
    # a file
    ("run half.toml", 2, "half.toml is not valid TOML"),
    ("run binary.toml", 2, "is not text in UTF-8 (byte 129 is 0x80); save it as UTF-8"),
    ("run empty", 2, "'name' is missing: write name = \"...\"; 'tasks' is missing: "),
    ("run questions.jsonl", 2, "questions.jsonl is not valid TOML"),
    ("verify math --jsonl binary.jsonl", 2, "is not text in UTF-8"),
    ("verify math --jsonl empty", 2, "empty is empty; `r1 verify --help` shows a line."),
    ("verify math --jsonl folder", 2, "folder is a folder; name a file in it."),
    ("verify math --jsonl list.json", 2, "A line is a JSON object; `r1 verify"),
    ("verify math --jsonl thesis.tex", 2, "line 1 is not JSON."),
    ("sample x --problems binary.jsonl --out d.jsonl", 2, "is not text in UTF-8"),
    ("sample x --problems no-answer.jsonl --out d.jsonl", 2, "no column that is known as answer"),
    # a setting
    ("run ok.toml --set zero.n_stps=3", 2, "unknown key 'zero.n_stps' (did you mean 'n_steps'?)."),
    ("run ok.toml --set zero.n_steps", 2, "--set takes key=value"),
    ("run ok.toml --set zero.n_steps=many", 2, 'needs a whole number (it is "many").'),
    ("run ok.toml --set zero.n_steps=-1", 2, "zero.n_steps needs at least 0 (it is -1)."),
    ("run ok.toml --set zero=5", 2, "zero needs a section: write [zero] and its keys below"),
    ("run ok.toml --set 'tasks={name=\"equation\"}'", 2, "tasks needs a list: write [[tasks]]"),
    ("run ok.toml --set languages=en", 2, 'write languages = ["en", "ko", "zh"] (it is "en").'),
    ("run ok.toml --set 'tasks=[{name=\"eqation\"}]'", 2, "There is no task 'eqation'"),
    ("run ok.toml --set 'tasks=[{name=\"mine.py:T\"}]'", 2, "There is no task file mine.py"),
    ("run ok.toml --set model.path=runs/litle", 3, "did you mean runs/little?"),
    ("run ok.toml --set zero.max_tokens=4000", 2, "zero.max_tokens is 4000, but the model ends"),
    ("run ok.toml --set model.max_positions=64", 2, "eval.max_tokens is 256, zero.max_tokens"),
    ("run ok.toml --set distill.data=tlak.jsonl", 2, "tlak.jsonl; did you mean talk.jsonl?"),
    ("run ok.toml --set distill.data=talk.jsonl", 2, "do not end with the assistant"),
    ("run ok.toml --set distill.data=rows.jsonl", 2, 'line 1 has no "messages"'),
    # a place to write
    ("run ok.toml --out thesis.tex", 4, "thesis.tex is a file; name a folder with --out."),
    ("run ok.toml --out thesis.tex/run", 4, "(Not a directory); use another --out."),
    ("run ok.toml --out .", 4, "is not empty and not a run"),
    (f"run ok.toml --out {'x' * 300}", 4, "cannot be written (File name too long); use another"),
    ("run smoke --out runs/little", 4, "a run of the recipe 'little', not of 'smoke'; use another"),
    ("run ok.toml --set base.tokens=1e6", 4, "base.tokens was 4000000, now 1000000."),
    ("sample x --problems questions.jsonl --out thesis.tex", 4, "was not made by `r1 sample`"),
    ("sample x --problems questions.jsonl --out questions.jsonl", 2, "--out would overwrite"),
    ("verify math --jsonl rows.jsonl --out folder", 2, "folder cannot be written (Is a directory)"),
    ("verify math --jsonl rows.jsonl --out no/v.jsonl", 2, "(No such file or directory); name"),
    ("serve http://127.0.0.1:9/v1 --bench --bench-out folder", 2, "folder cannot be written"),
    pytest.param("run ok.toml --out /proc/run", 4, "/proc/run cannot be written", marks=ON_LINUX),
    pytest.param(
        "verify math --jsonl rows.jsonl --out /dev/full", 4, "The disk is full", marks=ON_LINUX
    ),
]  # fmt: skip


def contents() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize(("line", "code", "expected"), MISTAKES)
def test_a_mistake_is_told_in_a_sentence(line: str, code: int, expected: str) -> None:
    before = contents()
    answer = r1(line)
    assert (answer.exit_code, expected in answer.stderr) == (code, True), answer.stderr
    assert re.fullmatch(r"error: .+[.?)}]\n", answer.stderr), answer.stderr
    assert not PYTHON.search(answer.stderr.removeprefix("error: ")), answer.stderr
    assert contents() == before


def test_a_run_of_quite_another_recipe_does_not_list_all_its_keys() -> None:
    changes = [f"--set zero.{key}" for key in ("n_steps=7", "n_problems=7", "n_completions=7",
               "max_tokens=7", "temperature=0.7", "beta=1")]  # fmt: skip
    more = "--set base.tokens=9 --set eval.n_problems=3"
    answer = r1(f"run ok.toml {' '.join(changes)} {more}")
    assert answer.exit_code == 4
    assert "; and 3 more settings of zero." in answer.stderr
    assert answer.stderr.count(", now ") == 5


def test_every_exit_code_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs/runs.md").read_text(encoding="utf-8")
    actual = set(map(int, re.findall(r"^\| (\d+) \|", page, re.MULTILINE)))
    kinds: list[type[R1Error]] = [R1Error, *R1Error.__subclasses__()]
    codes = {kind.exit_code for kind in kinds}
    assert actual == codes | {0, UNEXPECTED} | {128 + number for number in ENDING}
