"""docs/architecture.md names every file, and its table of imports is the law."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_file_has_its_phrase_and_every_phrase_its_file() -> None:
    tree = PAGE.split("```")[1]
    files = {p.name for p in (ROOT / "r1kit").rglob("*.py") if p.name != "__init__.py"}
    assert set(re.findall(r"\b\w+\.py\b", tree)) == files


def test_the_table_of_imports_is_the_law() -> None:
    law = runpy.run_path(str(ROOT / "tests" / "laws" / "test_imports.py"))["MAY_IMPORT"]
    table = PAGE.split("## Who may import whom")[1].split("## Words")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    actual = {
        package: set(re.findall(r"`(\w+)`", may))
        for packages, may in rows
        for package in re.findall(r"`(\w+)`", packages)
    }
    assert actual == law
