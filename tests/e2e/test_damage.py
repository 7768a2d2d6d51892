"""Every file of a run, damaged in every way, under every command: a sentence, or made again.

Real runs of a model of a few thousand parameters, in this process: a case costs milliseconds.
"""

import ctypes
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from r1kit import cli, config, report
from r1kit.chat.backends import LocalBackend
from r1kit.console.live_view import observer
from r1kit.errors import R1Error
from r1kit.files.atomic import MARKER, SEAL, seal, unsealed
from r1kit.report.facts import gather
from r1kit.runs.run_reader import read
from r1kit.stages import pipeline
from r1kit.types import Message, SamplingParams
from tests.e2e.test_run import lines, without_clocks, without_wall
from tests.recipes import LITTLE

RECIPE = f"""{LITTLE}[base]
tokens = 3000
batch_tokens = 1000
checkpoint_every = 2
[zero]
n_steps = 3
n_problems = 2
n_completions = 2
max_tokens = 8
checkpoint_every = 1
sample_every = 1
[eval]
n_problems = 3
max_tokens = 8
"""
SENTENCES = (3, 4)
"""the exit codes of a folder that is damaged"""


def r1(*arguments: object) -> tuple[int, str]:
    """Exit code and all that is said."""
    done = CliRunner().invoke(cli.app, list(map(str, arguments)), env={"COLUMNS": "1000"})
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe, a `finished` run of it, and one that is `unfinished`: stopped in stage zero."""
    home = tmp_path_factory.mktemp("damage")
    (home / "little.toml").write_text(RECIPE)
    code, said = r1("run", home / "little.toml", "--out", home / "finished")
    assert code == 0, said
    shutil.copytree(home / "finished", home / "unfinished")
    stop(home / "unfinished")
    return home


def stop(run: Path) -> None:
    """As it was after step 2 of zero had been saved, and some of step 3 been done."""
    shutil.rmtree(run / "checkpoints" / "zero-000003")
    for name, keys in (("manifest.json", ("finished",)), ("results.json", ("stages",))):
        record = unsealed(json.loads((run / name).read_text()))
        for key in keys:
            del record[key]["zero"]
        record.pop("claims", None)
        (run / name).write_text(json.dumps(seal(record)))


# Damages


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(path.name).randbytes(300))


def one_bit(path: Path) -> None:
    """One of the last quarter, where the values of long files are."""
    data = bytearray(path.read_bytes())
    place = random.Random(path.name).randrange(len(data) // 2, len(data) - 1)
    data[place] ^= 1
    path.write_bytes(data)


def as_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "note").write_text("mine")


def missing(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def dangling(path: Path) -> None:
    missing(path)
    path.symlink_to(path.parent / "nowhere" / "at all")


def unreadable(path: Path) -> None:
    path.chmod(0)


def emptied(folder: Path) -> None:
    missing(folder)
    folder.mkdir()


def as_a_file(folder: Path) -> None:
    missing(folder)
    folder.write_text("mine")


def wrong_types(value: object) -> Callable[[Path], None]:
    """Of every entry of a JSON object; without its seal, as if a person had edited it."""

    def damage(path: Path) -> None:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        records = [dict.fromkeys(set(json.loads(line)) - {SEAL}, value) for line in lines]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))

    damage.__name__ = f"wrong types: {value!r}"
    return damage


def other_json(path: Path) -> None:
    path.write_text("[[]]\n")


ANY = (missing, dangling, unreadable)
FILES = (*ANY, half, garbage, one_bit, as_a_folder, lambda path: path.write_bytes(b""))
FOLDERS = (*ANY, emptied, as_a_file)
JSON = (other_json, *map(wrong_types, (None, "three", {}, {"a": [None]})))
REPORTS = (".png", ".md", ".html")


def damages(path: Path) -> tuple[Callable[[Path], None], ...]:
    if path.is_dir():
        return FOLDERS
    return (*FILES, *(JSON if path.suffix in (".json", ".jsonl") else ()))


@contextmanager
def damaged(home: Path, run: str, name: str, damage: Callable[[Path], None]) -> Iterator[Path]:
    """A copy of a run with one thing damaged, as somebody sees it who is not root."""
    copy = home / "copy"
    shutil.copytree(home / run, copy)
    try:
        damage(copy / name)
        with without_root():
            yield copy
    finally:
        if (copy / name).exists():
            (copy / name).chmod(0o700)
        shutil.rmtree(copy)


@contextmanager
def without_root() -> Iterator[None]:
    """Rights count for root too, as they do for everybody else."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    before = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    less = (ctypes.c_uint32 * 6)(*before)
    less[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, less) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


# What is done with a run


def ends(action: Callable[[], str]) -> tuple[int, str]:
    """The exit code a command would have (error_reporting.py), and what it would say."""
    try:
        return 0, action()
    except R1Error as error:
        return error.exit_code, str(error)
    except Exception as error:
        return 70, f"something unexpected: {type(error).__name__}: {error}"


def run_again(run: Path) -> str:
    """`r1 run` up to its report."""
    recipe, said = config.load(run.parent / "little.toml", None), io.StringIO()
    with observer(Console(file=said, width=1000), recipe.name) as view:
        pipeline.run(recipe, run, view)
    return said.getvalue()


def answer(model: Path) -> str:
    """What `r1 chat` and inference.py do."""
    messages = [Message("user", "2x = 4")]
    return repr(
        list(
            LocalBackend.open_model(str(model)).stream_reply(
                messages, SamplingParams(4, 0.0), 0, True
            )
        )
    )


def outcome(run: Path) -> dict[str, object]:
    """What a run has come to."""
    return {
        "metrics": [without_clocks(record) for record in lines(run / "metrics.jsonl")],
        "samples": lines(run / "samples.jsonl"),
        "results": without_wall(json.loads((run / "results.json").read_text())),
        "weights": (run / "checkpoints" / "zero-000003" / "model.safetensors").read_bytes(),
    }


def is_told(code: int, said: str, run: Path, name: str) -> bool:
    """Whether this is a sentence that names the thing, or what it is in."""
    inside = [str(run / up) for up in (Path(name), *Path(name).parents)]
    return code in SENTENCES and "\n" not in said and any(one in said for one in inside)


def walk(
    home: Path,
    run: str,
    below: tuple[str, ...],
    action: Callable[[Path], str],
    is_right: Callable[[Path, str], bool],
) -> list[str]:
    """The damages after which an action neither ends in a sentence nor ends right.

    `below` are folders of the run: what is directly in them is damaged.
    """
    wrong = []
    places = sorted(path for folder in below for path in (home / run / folder).iterdir())
    for place in places:
        name = str(place.relative_to(home / run))
        for damage in damages(place) if place.suffix not in REPORTS else ():
            with damaged(home, run, name, damage) as copy:
                code, said = ends(partial(action, copy))
                if not (is_right(copy, said) if code == 0 else is_told(code, said, copy, name)):
                    wrong.append(f"{damage.__name__} {name} -> {code} {said[-300:]}")
    return wrong


def test_a_run_is_resumed_as_if_nothing_had_been_or_says_what_is_wrong(home: Path) -> None:
    expected = outcome(home / "finished")
    below = (".", "checkpoints/zero-000002", "checkpoints/zero-000002/resume")

    def is_right(run: Path, said: str) -> bool:
        return outcome(run) == expected

    assert walk(home, "unfinished", below, run_again, is_right) == []


def test_a_finished_run_is_whole_or_says_what_it_lacks(home: Path) -> None:
    expected = outcome(home / "finished")

    def is_right(run: Path, said: str) -> bool:
        if "its checkpoint zero-000003 is gone" in said:
            return not os.path.exists(run / "checkpoints" / "zero-000003" / MARKER)
        return outcome(run) == expected

    assert walk(home, "finished", (".",), run_again, is_right) == []


def test_a_report_is_made_of_what_was_written_or_not_at_all(home: Path) -> None:
    whole, drawn = read(home / "finished"), set()

    def show(run: Path) -> str:
        found = replace(read(run), path=whole.path)
        gather(found)
        others = [name for name, item in vars(found).items() if item != vars(whole)[name]]
        if others and others[0] not in drawn:  # to draw takes a second
            drawn.update(others)
            report.show(run, Console(file=io.StringIO()))
        return ""

    assert walk(home, "finished", (".",), show, lambda run, said: True) == []
    assert drawn


def test_a_model_answers_as_it_did_or_says_what_is_wrong(home: Path) -> None:
    newest_tokens = "checkpoints/zero-000003"
    expected = answer(home / "finished" / newest_tokens)

    def ask(run: Path) -> str:
        return answer(run / newest_tokens)

    assert walk(home, "finished", (newest_tokens,), ask, lambda run, said: said == expected) == []
