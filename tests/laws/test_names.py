"""One word means one thing: a class or alias has its name in one file (docs/architecture.md)."""

import ast
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]


def defined(path: Path) -> set[str]:
    """Classes and type aliases at the top of a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[:1].isupper() and not name.isupper():
                names.add(name)
    return names


def test_no_class_or_alias_has_its_name_in_two_files() -> None:
    positions = defaultdict(list)
    for path in sorted((ROOT / "r1kit").rglob("*.py")):
        for name in defined(path):
            positions[name].append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in positions.items() if len(files) > 1} == {}


def test_no_variable_is_named_by_a_verb_alone() -> None:
    """`found` and `kept` say what was done to a value, and not what it is."""
    verbs = {"found", "kept", "said", "told"}
    named = []
    folders = (ROOT / name for name in ("r1kit", "benchmarks", "scripts"))
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            else:
                name = node.arg if isinstance(node, ast.arg) else ""
            if name in verbs:
                named.append(f"{path.relative_to(ROOT)}: {name}")
    assert named == []


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports test files without packages by their name alone."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, n in names.items() if n > 1] == []
