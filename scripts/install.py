"""Create the virtual environment for the Makefile, announcing the downloads with little output.

    python scripts/install.py .venv --torch cpu

On Linux pip installs the CUDA build of torch. With --torch cpu, for machines where that is useless,
uv is tried first, since it knows the indexes of torch's other builds; if that fails, pip installs
its default build.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import venv
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
SIZES = {"cpu": "the CPU build of torch, 0.2 GB", "": "torch (on Linux the CUDA build, 2.7 GB)"}
"""download sizes with all dependencies, measured with torch 2.13 wheels for x86-64 Linux"""
REST = "what r1kit and its tests need besides, 0.2 GB"
LARGE_MB = 20.0
"""minimum size of a download that is mentioned in a log, MB"""
QUICK = {"UV_HTTP_TIMEOUT": "10", "UV_HTTP_RETRIES": "0"}
"""short timeouts: a network that blocks the connection must not cost minutes"""

_DOWNLOADING = re.compile(r"\s*Downloading (?:\S*/)?([\w.]+?)-\d\S* \(([\d.]+) ([kMG]B)\)")
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--torch", default="", help="cpu, cu130, rocm6.4, ...; empty: pip's")
    arguments, pip_flags = parser.parse_known_args()
    fetched = SIZES.get(arguments.torch, f"torch for {arguments.torch}, some gigabytes")
    say(f"Setting up {arguments.folder}, once: {fetched}, and {REST}.")
    venv.create(arguments.folder, with_pip=True)
    python = str(arguments.folder / "bin" / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "-q", *pip_flags, "--upgrade", "pip"], check=True
    )
    if arguments.torch and not has_fetched_torch(python, arguments.torch, pip_flags):
        say(f"The {arguments.torch} build of torch is not reached from here; pip's own is taken.")
    wanted = ["--constraint", str(CONSTRAINTS), "--editable", f"{ROOT}[dev]"]
    install(python, [*pip_flags, *wanted])
    say("Done.")


def say(text: str) -> None:
    print(text, flush=True)


def has_fetched_torch(python: str, build: str, pip_flags: list[str]) -> bool:
    """Return True if uv could install this build of torch."""
    [version] = re.findall(r"^torch==\S+", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    uv = [python, "-m", "uv", "pip", "install", "--python", python, "--no-deps", "--torch-backend"]
    for command in (
        [python, "-m", "pip", "install", "-q", *pip_flags, "uv"],
        ["env", *(f"{name}={value}" for name, value in QUICK.items()), *uv, build, version],
    ):
        if subprocess.run(command, capture_output=True).returncode:
            return False
    return True


def install(python: str, arguments: list[str]) -> None:
    """Run pip, showing only its downloads, and its last lines of output if it fails."""
    command = [python, "-m", "pip", "install", "--progress-bar", "raw", *arguments]
    last: deque[str] = deque(maxlen=40)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        assert pip.stdout is not None
        shown = Shown(sys.stdout.isatty())
        for line in pip.stdout:
            if not _PROGRESS.match(line):
                last.append(line)
            if text := shown.filter(line):
                print(text, end="", flush=True)
    print(shown.end(), end="", flush=True)
    if pip.returncode:
        sys.exit("".join(last) + "pip could not install r1kit; above is what it said.")


class Shown:
    """Filters pip's output: one updating line in a terminal, else only the large downloads."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._now = ""

    def filter(self, line: str) -> str:
        """Return the text to print for a line of pip's, or ""."""
        if match := _DOWNLOADING.match(line):
            name, size, unit = match.groups()
            self._now = f"  {name}, {size} {unit}"
            is_large = unit != "kB" and float(size) >= LARGE_MB
            return self._line(self._now) if self._is_terminal else f"{self._now}\n" * is_large
        if (match := _PROGRESS.match(line)) and self._is_terminal and int(match[2]):
            return self._line(f"{self._now}: {100 * int(match[1]) // int(match[2])} %")
        if line.startswith("Installing collected packages"):
            return self._line("  installing ...") if self._is_terminal else "  installing ...\n"
        return ""

    def end(self) -> str:
        return self._line("") if self._is_terminal else ""

    def _line(self, text: str) -> str:
        return f"\r\x1b[K{text}"


if __name__ == "__main__":
    main()
