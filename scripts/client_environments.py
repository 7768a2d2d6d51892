"""Create the Python environments of the clients, two at a time (`make clients`).

    python scripts/client_environments.py .venv-clients --torch cpu

uv installs them: it downloads in parallel, and environments share the files of a package. uv reads
none of pip's settings, so indexes, links and certificate are passed on. If uv fails, pip tries.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LISTS = Path(__file__).resolve().parents[1] / "tests" / "clients" / "environments"
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}
"""pip's setting → the variable in which uv reads it"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--torch", default="", help="cpu, cu130, rocm6.4, ...; empty: the default")
    arguments, pip_flags = parser.parse_known_args()
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "install", "-q", *pip_flags, "uv"], check=False)
    settings = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=True)
    env = uv_settings(settings.stdout) | os.environ

    def create(requirements: Path) -> str:
        folder = arguments.folder / requirements.stem
        venv.create(folder, with_pip=True)
        python = str(folder / "bin" / "python")
        for command in commands(python, arguments.torch):
            command += [*pip_flags, "-r", str(requirements)]
            result = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
            if result.returncode == 0:
                return ""
        return f"{requirements.name}: {result.stdout[-2000:]}{result.stderr[-4000:]}"

    with ThreadPoolExecutor(2) as executor:
        failures = [*filter(None, executor.map(create, sorted(LISTS.glob("*.txt"))))]
    if failures:
        sys.exit("\n".join(failures))


def commands(python: str, torch: str) -> list[list[str]]:
    """Return the ways to install, the best first; torch's own index may be out of reach."""
    uv = [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", python]
    own_index = [[*uv, "--torch-backend", torch]] if torch else []
    return [*own_index, uv, [python, "-m", "pip", "install", "-q"]]


def uv_settings(listed: str) -> Mapping[str, str]:
    """Return pip's settings, as `pip config list` shows them, as variables of uv."""
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        if variable := UV_NAMES.get(name.rpartition(".")[2]):
            settings.setdefault(variable, " ".join(value.strip("'\"").replace("\\n", " ").split()))
    if "UV_INDEX" in settings:  # pip takes the newest version of all indexes
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return settings


if __name__ == "__main__":
    main()
