"""`r1 doctor`: reports this machine's sandbox layers and level, and can run the escape suite."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib import metadata

import psutil
from rich.console import Console
from rich.table import Table

from r1kit.errors import SandboxError
from r1kit.verify.sandbox import Job, Sandbox, layers

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
_N_TIMED = 100
_ADVICE = {
    "strict": "nothing is missing",
    "standard": "for strict, allow user namespaces: in a container --security-opt "
    "seccomp=unconfined, on Ubuntu 24.04 an AppArmor profile with `userns,`; or run as root",
    "best-effort": "for more, run on Linux",
    "none": "programs cannot be run here; the sandbox needs Linux 5.13 with Landlock and seccomp",
}


def show(console: Console) -> None:
    """Print the machine, the sandbox layers, the best level and its speed."""
    console.print(_machine())
    table = Table(title="Sandbox", title_justify="left")
    for heading in ("layer", "", "what it gives, or why it is missing"):
        table.add_column(heading)
    if sys.platform == "linux":
        for layer in layers():
            table.add_row(layer.name, "yes" if layer.is_there else "no", layer.why)
        console.print(table)
    level, speed = _best_level()
    console.print(f"best level: {level}{speed}; {_ADVICE[level]}.")


def attack(console: Console) -> int:
    """Run the escape suite at the best level, print it and return the number of failures."""
    from r1kit.verify.sandbox.attacks import ATTACKS
    from r1kit.verify.sandbox.attacks.testbed import run_attack

    n_failures = 0
    with Sandbox("auto", n_workers=1) as sandbox:
        table = Table(title=f"Escape suite at level {sandbox.level}", title_justify="left")
        for heading in ("attack", "tries to", "held", "how it ended", "stopped by"):
            table.add_column(heading)
        for case in ATTACKS:
            if case.only_strict and sandbox.level != "strict":
                table.add_row(case.name, case.tries, "-", "not promised at this level", "")
                continue
            outcome = run_attack(sandbox, case)
            n_failures += not outcome.passed
            cell = "yes" if outcome.passed else "[bold red]NO[/]"
            table.add_row(
                case.name, case.tries, cell, outcome.what[:60], ", ".join(case.stopped_by)
            )
    console.print(table)
    console.print(f"{len(ATTACKS)} attacks and honest programs, {n_failures} went wrong.")
    return n_failures


def _machine() -> Table:
    table = Table(title="Machine", title_justify="left", show_header=False)
    table.add_row(
        "Python", f"{platform.python_version()} on {platform.system()} {os.uname().release}"
    )
    for name in _PACKAGES:
        table.add_row(name, _version(name))
    table.add_row("cores", str(len(psutil.Process().cpu_affinity()) if sys.platform == "linux"
                               else os.cpu_count()))  # fmt: skip
    memory = psutil.virtual_memory()
    table.add_row("memory", f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} free")
    table.add_row("accelerator", _accelerator())
    return table


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _accelerator() -> str:
    try:
        import torch
    except ImportError:
        return "unknown without torch"
    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count()))
    return "Apple GPU" if torch.backends.mps.is_available() else "none"


def _best_level() -> tuple[str, str]:
    level = "best-effort" if sys.platform == "darwin" else "auto"
    try:
        with Sandbox(level) as sandbox:  # type: ignore[arg-type]
            jobs = [Job("print(1)")] * _N_TIMED
            sandbox.map(jobs[:8])
            start = time.perf_counter()
            endings = sandbox.map(jobs)
            seconds = time.perf_counter() - start
            if not all(ending.is_clean for ending in endings):
                return "none", " (its runs fail)"
            return str(sandbox.level), f", {_N_TIMED / seconds:.0f} runs/s"
    except SandboxError:
        return "none", ""
