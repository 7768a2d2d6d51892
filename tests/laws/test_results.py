"""The evidence in results/ says what the numbers beside it say."""

import re
import runpy
import shutil
from pathlib import Path

import pytest

from r1kit.files.json_lines import read_lines

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "evidence.py"))
FOLDERS = sorted(path.parent for path in ROOT.glob("results/*/claims.json"))


def test_every_metric_of_the_kept_runs_is_in_the_table_of_the_docs() -> None:
    page = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8").partition("## Metrics")[2]
    cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`(.*?)`", cell)]
    patterns = [re.sub(r"<\w+>", r"\\w+", name) for name in listed]
    files = [path for folder in FOLDERS for path in folder.glob("metrics-*.jsonl")]
    names = {name for path in files for _, row in read_lines(path) for name in row}
    assert len(names) > 30
    for name in names - {"stage", "step"}:
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_claims_and_tables_are_those_of_the_kept_numbers(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.png", "*.svg"))
    SCRIPT["redraw"](copy)
    how = f"run: python scripts/evidence.py --redraw results/{folder.name}"
    for name in ("claims.json", "README.md"):
        assert (copy / name).read_bytes() == (folder / name).read_bytes(), how
    pictures = {path.name for path in copy.iterdir() if path.suffix in (".png", ".svg")}
    assert pictures == {path.name for path in folder.iterdir() if path.suffix in (".png", ".svg")}
