"""The evidence in results/ says what the numbers beside it say."""

import runpy
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "evidence.py"))
FOLDERS = sorted(path.parent for path in ROOT.glob("results/*/claims.json"))


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
