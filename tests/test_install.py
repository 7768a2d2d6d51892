"""What scripts/install.py shows of pip, and that it says why it failed."""

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "scripts/install.py"))
PIP = """\
Collecting torch==2.13.0
  Downloading torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (30 kB)
Progress 30000 of 30000
  Downloading torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl (186.9 MB)
Progress 0 of 186900000
Progress 93450000 of 186900000
Collecting rich
  Downloading rich-15.0.0-py3-none-any.whl (310 kB)
Installing collected packages: rich, torch
Successfully installed rich-15.0.0 torch-2.13.0+cpu
"""


def test_a_log_is_told_of_what_is_large() -> None:
    shown = SCRIPT["Shown"](is_terminal=False)
    output = "".join(map(shown.filter, PIP.splitlines(keepends=True))) + shown.end()
    assert output == "  torch, 186.9 MB\n  installing ...\n"


def test_a_terminal_has_one_line_that_changes() -> None:
    shown = SCRIPT["Shown"](is_terminal=True)
    output = "".join(map(shown.filter, PIP.splitlines(keepends=True))) + shown.end()
    assert "\n" not in output
    lines = output.split("\r\x1b[K")
    assert "  torch, 186.9 MB: 50 %" in lines
    assert lines[-3:] == ["  rich, 310 kB", "  installing ...", ""]


def test_what_pip_cannot_do_is_shown_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        SCRIPT["install"](sys.executable, ["--no-index", str(tmp_path / "none")])
    assert "none" in str(ended.value)
    assert str(ended.value).endswith("pip could not install r1kit; above is what it said.")
