"""Sampling and learning speed of r1kit and its peers, side by side.

    python -m benchmarks.rl_step [--model DIR] [--repeats 5] [--only NAME ...] [--before PYTHON]
        [--recipe recipes/tiny.toml] [--dtypes float32 bfloat16]

DIR is a checkpoint, a folder of a pretrained model, or a run, whose newest checkpoint is used;
without it the weights are random. The recipe gives the questions, the group size and the limits.
Every contender is a process that loads once and then runs one repeat at a time, in turns (A B C A B
C ...), so that changes in the machine's load affect all alike. The peers live in `.venv-peers`,
which the first run creates. PYTHON is the interpreter of another checkout's environment, whose step
takes part as `before-step`. Results go to benchmarks/results/<date>-<stage>.{json,md}.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import psutil
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import report, workload
from benchmarks.protocol import Answer
from r1kit.config import ComputeConfig
from r1kit.model.devices import n_processes
from r1kit.model.find import find_model
from r1kit.processes.terminate import wait_or_kill

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv-peers"
PEER_PYTHON = PEERS / "bin" / "python"
VLLM = Path(os.environ.get("R1_VLLM", ROOT / ".venv-vllm" / "bin" / "python"))
"""the Python of an environment with vLLM, which takes part if it exists"""
REQUIREMENTS = ROOT / "benchmarks" / "peers" / "requirements.txt"
READY = "installed.txt"
"""file in PEERS: a copy of the requirements it was installed from, written last"""
REST_S = 0.5
"""seconds between two runs, for spinning threads to settle"""
DTYPES = {"float32": "", "bfloat16": "-bf16"}
"""dtype of the weights → suffix of the names of the contenders that use it"""
BUSY = 0.3
"""share of the machine used by other processes above which times are unreliable"""

console = Console()


@dataclass
class Contender:
    """A contender process of the benchmark."""

    name: str
    what: str
    """kind of run: "sample", "step" or "peak" """
    label: str
    command: list[str]
    about: Answer = field(default_factory=dict)
    runs: list[Answer] = field(default_factory=list)
    error: str | None = None
    log: Path = Path()
    process: subprocess.Popen[str] | None = None
    root: Path = ROOT
    """the contender's checkout"""

    def start(self, folder: Path, threads: int) -> None:
        self.log = folder / f"{self.name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.root,
                env=_environment(threads),
            )
        self.about = self._answer() or {}

    def run(self, is_warm_up: bool) -> None:
        """Run one repeat; a contender that fails reports its error and takes no further part."""
        if self.error is None and self.process is not None:
            _pipe(self.process.stdin).write("run\n")
            _pipe(self.process.stdin).flush()
            answer = self._answer()
            if answer is not None and not is_warm_up:
                self.runs.append(answer)

    def stop(self) -> None:
        if self.process is not None:
            _pipe(self.process.stdin).close()
            wait_or_kill(self.process, 10)
            _pipe(self.process.stdout).close()

    def _answer(self) -> Answer | None:
        assert self.process is not None
        line = _pipe(self.process.stdout).readline()
        answer: Answer = json.loads(line) if line else {"error": _last_line(self.log)}
        self.error = answer.get("error")
        if self.error:
            console.print(f"  {self.name} failed: {self.error}", markup=False)
        return None if self.error else answer

    def record(self) -> dict[str, Any]:
        keys = ("name", "what", "label", "about", "runs", "error")
        return {key: getattr(self, key) for key in keys}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, help="a checkpoint or a run; default: random weights")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="names of contenders")
    parser.add_argument("--before", type=Path, help="the python of another checkout")
    parser.add_argument("--recipe", type=Path, default=workload.RECIPE)
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=["float32"])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    asked = parser.parse_args()
    given = Path(find_model(asked.model)) if asked.model else None
    stage = given.name.rpartition("-")[0] or given.name if given else "random"
    make_peers()
    busy = psutil.cpu_percent(2.0) / 100
    if busy > BUSY:
        console.print(f"[yellow]Others use {busy:.0%} of this machine: times will be noise.")
    with tempfile.TemporaryDirectory(prefix="r1kit-bench-") as name:
        folder = Path(name)
        work = workload.make(folder / "model", str(given) if given else None, asked.recipe)
        work.write(folder / "work.json")
        n_cores = n_processes(ComputeConfig(device="cpu"), len(work.prompt_ids))
        racers = contenders(folder / "work.json", n_cores, asked.before, asked.dtypes)
        if asked.only:
            racers = [racer for racer in racers if racer.name in asked.only]
        race(racers, folder, n_cores, asked.repeats)
    record = {
        "environment": environment(n_cores, busy),
        "work": {
            "problems": len(work.prompt_ids),
            "completions": work.n_completions,
            "max_tokens": work.max_tokens,
            "model": given.name if given else "random weights of the shape of recipes/tiny.toml",
        },
        "contenders": [racer.record() for racer in racers],
    }
    write(record, asked.out, stage, report.markdown(record))


def make_peers() -> None:
    """Create the peers' own virtual environment, once."""
    ready = PEERS / READY
    if ready.exists() and ready.read_text() == REQUIREMENTS.read_text():
        return
    console.print(f"Making {PEERS.name} for TRL and transformers; once, a few minutes ...")
    subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
    pip = [str(PEER_PYTHON), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
    ready.write_text(REQUIREMENTS.read_text())


def contenders(
    work: Path, n_cores: int, before: Path | None = None, dtypes: Sequence[str] = ("float32",)
) -> list[Contender]:
    """Return all contenders in the order of their turns, each with every dtype."""
    return [
        contender for dtype in dtypes for contender in _with_dtype(work, n_cores, before, dtype)
    ]


def _with_dtype(work: Path, n_cores: int, before: Path | None, dtype: str) -> list[Contender]:
    suffix, short = DTYPES[dtype], {"float32": "fp32", "bfloat16": "bf16"}[dtype]

    def ours(
        name: str, what: str, label: str, processes: int, threads: int, python: Path | None = None
    ) -> Contender:
        arguments = [what, str(work), "--processes", str(processes), "--threads", str(threads)]
        arguments += ["--dtype", dtype] if suffix else []  # an older checkout has no such option
        command = [str(python or sys.executable), "-m", "benchmarks.ours", *arguments]
        root = python.parents[2] if python else ROOT
        return Contender(f"{name}{suffix}", what, f"{label}, {short}", command, root=root)

    def peer(
        name: str, what: str, label: str, script: str, *options: str, python: Path = PEER_PYTHON
    ) -> Contender:
        path = str(ROOT / "benchmarks" / "peers" / script)
        arguments = [str(work), "--threads", str(n_cores), "--dtype", dtype, *options]
        return Contender(
            f"{name}{suffix}", what, f"{label}, {short}", [str(python), path, *arguments]
        )

    split, whole = f"{n_cores} processes x 1 thread", f"1 process x {n_cores} threads"
    earlier = [ours("before-step", "step", f"r1kit before, {split}", n_cores, 1, before)]
    hf, vllm, trl = "transformers", "vllm_generate.py", "trl_grpo.py"
    return [
        ours("peak-split", "peak", f"GEMM, {split}", n_cores, 1),
        ours("peak-whole", "peak", f"GEMM, {whole}", 1, n_cores),
        ours("r1kit-sample", "sample", f"r1kit, {split}", n_cores, 1),
        ours("r1kit-sample-whole", "sample", f"r1kit, {whole}", 1, n_cores),
        peer("generate", "sample", f"{hf} generate", "hf_generate.py"),
        peer("continuous", "sample", f"{hf} continuous batching", "hf_continuous_batching.py"),
        *(
            [
                peer("vllm", "sample", "vLLM, eager", vllm, "--eager", python=VLLM),
                peer("vllm-compiled", "sample", "vLLM, compiled", vllm, python=VLLM),
            ]
            if VLLM.exists()
            else []
        ),
        ours("r1kit-step", "step", f"r1kit, {split}", n_cores, 1),
        *(earlier if before and not suffix else []),
        peer("trl-8", "step", "TRL, 8 rows per pass", trl, "--rows", "8"),
        peer("trl-64", "step", "TRL, 64 rows per pass", trl, "--rows", "64"),
        peer("trl-256", "step", "TRL, 256 rows per pass", trl, "--rows", "256"),
        peer("trl-continuous", "step", "TRL, continuous batching", trl, "--continuous-batching"),
    ]


def race(racers: Sequence[Contender], folder: Path, n_cores: int, repeats: int) -> None:
    """Load and warm up all contenders, then run them in turns."""
    try:
        for racer in racers:
            console.print(f"loading {racer.name}")
            racer.start(folder, n_cores)
        for repeat in range(repeats + 1):
            for racer in racers:
                time.sleep(REST_S)
                racer.run(is_warm_up=repeat == 0)
            console.print(f"turn {repeat} of {repeats}" + (" (warm-up)" if not repeat else ""))
    finally:
        for racer in racers:
            racer.stop()


def environment(n_cores: int, busy: float) -> dict[str, Any]:
    """Describe the machine and the versions of all contenders."""
    installed = [str(PEER_PYTHON), "-m", "pip", "freeze"]
    peers = subprocess.run(installed, check=True, capture_output=True, text=True).stdout
    wanted = {line.partition("==")[0] for line in REQUIREMENTS.read_text().split()}
    versions = (line.split("==") for line in peers.split() if line.partition("==")[0] in wanted)
    return machine(n_cores, busy) | {"peers": dict(versions)}


def machine(n_cores: int, busy: float) -> dict[str, Any]:
    """Describe the machine and our versions, without the peers."""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu_name(),
        "cores": n_cores,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "busy_before": busy,
        "python": platform.python_version(),
        "ours": {name: version(name) for name in ("r1kit", "torch", "transformers")},
    }


def write(record: dict[str, Any], folder: Path, name: str, text: str) -> None:
    """Write the raw numbers as JSON and the page as Markdown; print the page."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record['environment']['date']}-{name}"
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    console.print(Markdown(text))
    console.print(f"written to {path}.json and .md")


def _environment(threads: int) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it ended without a word"


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


if __name__ == "__main__":
    main()
