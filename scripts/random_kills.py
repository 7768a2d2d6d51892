"""Kill random processes of a run at random moments, and compare it with an undisturbed run.

    python -m scripts.random_kills [--kills 20] [--seed 0] [--torchrun] [--vllm] [--out FOLDER]

A short recipe runs on two ranks. A random process of it gets `kill -9` at a random moment; if that
ends the run, the same command resumes it. A run that ends by itself is compared with the
undisturbed one: equal to the bit with r1kit's own engine, and step by step with vLLM, whose
log-probabilities depend on which requests it batches. Runs follow each other until enough processes
were killed. The table of kills is printed and written to FOLDER/README.md, with FOLDER/kills.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from r1kit.files.json_lines import read_lines

ROOT = Path(__file__).parents[1]
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
SETTINGS = (
    "base.tokens=120000", "base.checkpoint_every=4", "zero.n_steps=10", "zero.n_problems=4",
    "zero.n_completions=4", "zero.checkpoint_every=1", "zero.max_tokens=40", "eval.n_problems=12",
    "eval.max_tokens=40", "zero.overlong_buffer=24", "zero.rewards.language=1.0",
)  # fmt: skip
VLLM = ("sampler.kind=vllm", "sampler.max_num_seqs=16", "sampler.vllm_args=--max-model-len 512")
MINUTE = 60.0
"""longest time in which a run ends after one of its ranks"""
AT_THE_START = 0.25
"""share of the kills at any moment after the start of the command; the others come later than its
first step, as most of the time of so short a run is imports"""
CLOCKS = ("step_time", "time/", "memory/")
"""beginnings of the names of metrics that depend on the machine"""


@dataclass(frozen=True)
class Kill:
    """A process that was killed, and what became of its run."""

    run: int
    after_s: float
    """seconds since the command was started"""
    process: str
    reached: str
    """last step that metrics.jsonl had"""
    ended_s: float | None
    """seconds until all processes of the run had ended; None if the run went on"""


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file of JSON objects, [] if there is none."""
    return [row for _, row in read_lines(path)]


def outcome(run: Path) -> dict[str, Any]:
    """Return everything of a finished run that must not depend on how often it was killed."""
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    weights = sorted((run / "checkpoints").glob("*/model.safetensors"))
    return {
        "metrics": [_without_clocks(row) for row in rows(run / "metrics.jsonl")],
        "samples": rows(run / "samples.jsonl"),
        "results": _without_wall(results),
        "weights": {path.parent.name: sha256(path.read_bytes()).hexdigest() for path in weights},
        "data": {path.name: path.read_bytes() for path in sorted(run.glob("data/*"))},
    }


def steps(run: Path) -> list[tuple[str, int, float]]:
    """Return stage, step and number of problems of every step that was learned from."""
    return [
        (row["stage"], row["step"], row.get("n_problems", 0.0))
        for row in rows(run / "metrics.jsonl")
    ]


def _without_clocks(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not key.startswith(CLOCKS)}


def _without_wall(value: Any) -> Any:
    """Leave out seconds, and the checksum over them."""
    if isinstance(value, dict):
        keys = (key for key in value if key not in ("wall_s", "checksum"))
        return {key: _without_wall(value[key]) for key in keys}
    return value


class Job:
    """A running command, and all processes that it was ever seen to have."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.started = time.monotonic()
        with log.open("a") as file:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            )  # fmt: skip
        self._family: dict[int, psutil.Process] = {}

    def alive(self) -> list[psutil.Process]:
        """Return its processes, the first one first if that is alive."""
        self._popen.poll()
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(self._popen.pid)
            for process in (first, *first.children(recursive=True)):
                self._family.setdefault(process.pid, process)
        return [process for process in self._family.values() if _is_alive(process)]

    def code(self) -> int | None:
        return self._popen.poll()

    def name(self, process: psutil.Process) -> str:
        """Return what a process is to the run: `rank 1`, `vLLM`, or the module that it runs."""
        words = process.cmdline()
        if "torch.distributed.run" in words:
            return "torchrun"
        if rank := process.environ().get("RANK"):
            return f"rank {rank}" if "run" in words else _module(words)
        if process.pid == self._popen.pid:
            return "rank 0"
        return "rank 1" if "r1kit.model.parallel" in words else _module(words)

    def wait_for_step(self, run: Path) -> None:
        """Return when the run has done a step, or has ended."""
        n_done = len(rows(run / "metrics.jsonl"))
        while self.alive() and len(rows(run / "metrics.jsonl")) == n_done:
            time.sleep(0.02)

    def wait(self, seconds: float) -> bool:
        """Return True once all its processes have ended, False if some are alive after so long."""
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        self._popen.wait()  # its last thread may still be ending
        return True

    def close(self) -> None:
        for process in self.alive():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._popen.wait()


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _module(words: list[str]) -> str:
    """Return a short name of a helper: its module, or the code that it was given."""
    if any("process_guard" in word for word in words):
        return "guard of vLLM"
    if any("vllm" in word for word in words):
        return "vLLM"
    known = [word for word in words if "resource_tracker" in word or word.startswith("r1kit.")]
    return known[-1].split("import ")[-1].split(";")[0][:40] if known else " ".join(words)[-40:]


def disturbed(
    command: list[str], run: Path, log: Path, span_s: float, draw: random.Random, n: int, index: int
) -> Iterator[Kill]:
    """Run and resume the command until it ends by itself; yield at most n kills."""
    n_left = n
    while True:
        job = Job(command, log)
        try:
            while n_left and not job.wait(_moment(job, run, span_s, draw)):
                killed = _kill_one(job, run, draw, index)
                if killed is None:
                    continue
                n_left -= 1
                yield killed
                if killed.ended_s is not None:
                    break
            else:
                if not job.wait(20 * span_s + 10 * MINUTE):
                    sys.exit(f"The run hangs; its output is in {log}.")
                if job.code() == 0:
                    return
                sys.exit(f"The run ended with {job.code()} by itself; its output is in {log}.")
        finally:
            job.close()


def _moment(job: Job, run: Path, span_s: float, draw: random.Random) -> float:
    """Return the seconds until the next kill, once the run has come to where it may be."""
    if draw.random() < AT_THE_START:
        return draw.uniform(0, span_s)
    job.wait_for_step(run)
    return draw.uniform(0, span_s / 4)


def _kill_one(job: Job, run: Path, draw: random.Random, index: int) -> Kill | None:
    """Kill one process of the job; None if it ended before."""
    try:
        victim = draw.choice(job.alive())
        name, moment = job.name(victim), time.monotonic()
        victim.kill()
    except (psutil.Error, IndexError):
        return None
    last = rows(run / "metrics.jsonl")[-1:]
    reached = f"{last[0]['stage']} {last[0]['step']}" if last else "start"
    ended: float | None = None
    if name.startswith(("rank", "torchrun")):
        if not job.wait(MINUTE):
            left = [" ".join(process.cmdline()) for process in job.alive()]
            sys.exit(f"{name} was killed, and after a minute these go on: {left}")
        ended = round(time.monotonic() - moment, 1)
    killed = Kill(index, round(moment - job.started, 1), name, reached, ended)
    print(line(killed), flush=True)
    return killed


def line(kill: Kill) -> str:
    """Return a kill as a row of the table."""
    ended = "went on" if kill.ended_s is None else f"{kill.ended_s:.1f}"
    return f"| {kill.run} | {kill.after_s:.1f} | {kill.process} | {kill.reached} | {ended} |"


HEAD = """| run | s after its start | killed | last step | all ended after s |
|---|---|---|---|---|"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=0, help="of the moments and processes")
    options.add_argument("--torchrun", action="store_true", help="torchrun starts the ranks")
    options.add_argument("--vllm", action="store_true", help="a vLLM server samples")
    options.add_argument("--out", type=Path, default=Path("runs/random-kills"))
    given = options.parse_args()
    if given.out.exists() and not (given.out / "kills.log").exists():
        sys.exit(f"{given.out} has no kills of earlier runs; name another folder with --out.")
    shutil.rmtree(given.out, ignore_errors=True)
    given.out.mkdir(parents=True)
    log = given.out / "kills.log"
    log.touch()
    compared: Callable[[Path], Any] = steps if given.vllm else outcome
    whole = given.out / "undisturbed"
    job = Job(_command(whole, given.torchrun, given.vllm), log)
    try:
        if not job.wait(60 * MINUTE) or job.code() != 0:
            sys.exit(f"The undisturbed run failed; its output is in {log}.")
    finally:
        job.close()
    span_s = time.monotonic() - job.started
    print(f"An undisturbed run takes {span_s:.0f} s.\n\n{HEAD}", flush=True)
    kills, different = _rounds(given, log, span_s, compared, compared(whole))
    text = _report(given, kills, different)
    (given.out / "kills.json").write_text(json.dumps([asdict(kill) for kill in kills], indent=1))
    (given.out / "README.md").write_text(text)
    print(f"\n{text.splitlines()[-1]}")
    sys.exit(1 if different else 0)


def _rounds(
    given: argparse.Namespace, log: Path, span_s: float, compared: Callable[[Path], Any],
    expected: Any,
) -> tuple[list[Kill], list[int]]:  # fmt: skip
    """Return all kills, and the numbers of the runs that are unlike the undisturbed one."""
    draw, kills, different = random.Random(given.seed), list[Kill](), list[int]()
    index = 0
    while len(kills) < given.kills:
        index += 1
        run = given.out / f"run-{index}"
        command = _command(run, given.torchrun, given.vllm)
        n_left = given.kills - len(kills)
        kills += disturbed(command, run, log, span_s, draw, n_left, index)
        if compared(run) != expected:
            different.append(index)
            print(f"Run {index} is unlike the undisturbed one.", flush=True)
    return kills, different


def _command(run: Path, is_torchrun: bool, is_vllm: bool) -> list[str]:
    processes = () if is_torchrun else ("compute.n_processes=2",)
    settings = (*SETTINGS, *processes, *(VLLM if is_vllm else ()))
    sets = [word for setting in settings for word in ("--set", setting)]
    start = [*TORCHRUN, "r1kit"] if is_torchrun else ["r1kit"]
    recipe = str(ROOT / "recipes" / "smoke.toml")
    return [sys.executable, "-m", *start, "run", recipe, "--out", str(run.absolute()), *sets]


def _report(given: argparse.Namespace, kills: list[Kill], different: list[int]) -> str:
    n_runs = max(kill.run for kill in kills)
    how = "torchrun" if given.torchrun else "`r1 run`"
    engine = "a vLLM server samples" if given.vllm else "r1kit's own engine samples"
    equal = "the same steps" if given.vllm else "the same bits"
    ending = (
        f"Runs {different} ended unlike the undisturbed run." if different
        else f"All {n_runs} runs ended with {equal} as the undisturbed run: metrics without "
        "clocks, samples, results and weights; nothing is lost, nothing is there twice."
    )  # fmt: skip
    table = "\n".join([HEAD, *map(line, kills)])
    return (
        f"# {len(kills)} processes killed at random\n\n"
        f"Two ranks, started by {how}, run a shortened smoke recipe; {engine}. "
        f"`python -m scripts.random_kills --kills {given.kills} --seed {given.seed}`"
        f"{' with --torchrun' * given.torchrun}{' with --vllm' * given.vllm} killed these with "
        f"`kill -9` and resumed:\n\n{table}\n\n{ending}\n"
    )


if __name__ == "__main__":
    main()
