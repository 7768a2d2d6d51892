"""The suite ends and shares: a test that hangs fails alone, and a file's tests have one worker."""

import subprocess
import sys
from pathlib import Path

import pytest

HANGING = """
import threading

def test_hangs():
    threading.Event().wait()

def test_goes_on():
    pass
"""


def test_a_hanging_test_fails_alone_and_shows_where(tmp_path: Path) -> None:
    file = tmp_path / "test_hanging.py"
    file.write_text(HANGING)
    config = Path(__file__).parents[2] / "pyproject.toml"
    command = [sys.executable, "-m", "pytest", "-c", str(config), "--rootdir", str(tmp_path)]
    result = subprocess.run(
        [*command, "-n", "1", "-o", "timeout=1", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "threading.Event().wait()" in result.stdout, result.stdout
    assert "Failed: Timeout" in result.stdout
    assert "1 failed, 1 passed" in result.stdout


def test_tests_of_a_file_share_a_worker(request: pytest.FixtureRequest) -> None:
    """pytest-xdist reads a group from the name of a test: its marker alone would do nothing."""
    if not getattr(request.config.option, "loadgroup", False):  # set by pytest-xdist in a worker
        pytest.skip("Tests are not distributed by group.")
    assert request.node.nodeid.endswith("@laws/test_suite.py")
