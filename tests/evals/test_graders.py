"""The graders of benchmarks: their version covers everything that decides."""

import ast
from pathlib import Path

import pytest

from r1kit import verify
from r1kit.evals.graders import GRADERS

VERIFY = Path(verify.__file__).parent


def files_of(source: str) -> list[Path]:
    path = VERIFY / source
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def imported(file: Path) -> set[str]:
    """Modules of r1kit.verify that a file imports, by their first name."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[2] for name in names if name.startswith("r1kit.verify.")}


@pytest.mark.parametrize("name", GRADERS)
def test_the_version_hashes_every_file_that_decides(name: str) -> None:
    sources = GRADERS[name].sources
    needed = set().union(*(imported(file) for source in sources for file in files_of(source)))
    assert needed <= {source.removesuffix(".py") for source in sources}
