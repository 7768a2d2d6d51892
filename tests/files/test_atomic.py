"""Files are replaced whole or not at all."""

from pathlib import Path

from r1kit.files.atomic import replace_file, to_json
from tests.runs.conftest import child


def test_a_file_that_cannot_be_replaced_keeps_its_old_content(tmp_path: Path) -> None:
    code = """
import resource
from r1kit.files.atomic import replace_file
replace_file(path, "old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
replace_file(path, "x" * 2000)
"""
    writer = child(code, tmp_path / "file")
    _, error = writer.communicate(timeout=30)
    assert "RunError: The disk is full" in error
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]


def test_replacing_and_json(tmp_path: Path) -> None:
    replace_file(tmp_path / "f", "one")
    replace_file(tmp_path / "f", b"two")
    assert (tmp_path / "f").read_text() == "two"
    assert to_json({"a": (1.5, float("inf")), "b": {"c": float("nan")}}) == (
        '{"a": [1.5, null], "b": {"c": null}}'
    )
