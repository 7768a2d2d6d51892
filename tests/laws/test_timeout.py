"""A test that hangs is named, and the tests behind it run."""

import subprocess
import sys
from pathlib import Path

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
    pytest = [sys.executable, "-m", "pytest", "-c", str(config), "--rootdir", str(tmp_path)]
    result = subprocess.run(
        [*pytest, "-n", "1", "-o", "faulthandler_timeout=1", "-o", "timeout=2", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    output = result.stdout + result.stderr
    assert 'test_hanging.py", line 5 in test_hangs' in output, output
    assert "crashed while running 'test_hanging.py::test_hangs'" in output
    assert "1 failed, 1 passed" in output
