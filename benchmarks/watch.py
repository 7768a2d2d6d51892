"""The page of `r1 watch` on long runs: time to open, memory, delay, and what it costs the run.

    python -m benchmarks.watch --steps 2000 --seeds 3 --rollouts 100000

Writes run folders of that size as runs write them, starts `r1 watch` on them, and opens the page in
Chromium. Then a fourth of the first run's steps is appended, one a second, as a live run would.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from playwright.sync_api import Page, sync_playwright

from r1kit.config import parse
from r1kit.runs.run_dir import RunDir

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
PER_GROUP = 16
N_LIVE = 20
METRICS = (
    "reward", "reward_group_std", "frac_reward_zero_std", "rewards/accuracy/mean",
    "rewards/format/mean", "rewards/language/mean", "accuracy/equation", "accuracy/series",
    "accuracy/countdown", "accuracy/arithmetic", "completions/mean_length",
    "completions/clipped_ratio", "completions/mean_reflections", "language_consistency", "entropy",
    "n_problems", "n_completion_tokens", "n_prompt_tokens", "n_undecided", "clip_ratio/low_mean",
    "clip_ratio/high_mean", "kl", "loss", "grad_norm", "learning_rate", "n_trained_tokens",
    "step_time", "time/sample_s", "time/verify_s", "time/learn_s", "time/publish_s",
    "memory/resident_mb", "memory/peak_mb",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rollouts", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="keep the runs here, and use them again")
    arguments = parser.parse_args()
    print(f"load {psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for seed in range(arguments.seeds):
            if not (folder / f"seed{seed}").exists():
                per_run = arguments.rollouts // arguments.seeds
                write_run(folder / f"seed{seed}", seed, arguments.steps, per_run)
        sizes = [path.stat().st_size for path in folder.glob("*/*.jsonl")]
        print(f"{sum(sizes) / 1e6:.0f} MB of metrics and samples")
        with watching(folder) as (process, url):
            measure(process, url, folder)


def write_run(path: Path, seed: int, n_steps: int, n_rollouts: int) -> None:
    """Write the folder of a run as a run does, with about `n_rollouts` recorded completions."""
    chance = random.Random(seed)
    recipe = {"name": "long", "seed": seed, "tasks": [{"name": "equation"}],
              "zero": {"n_steps": n_steps + N_LIVE, "n_completions": PER_GROUP}}  # fmt: skip
    with RunDir.create_or_resume(path, parse(recipe, "the benchmark")) as run:
        for step in range(1, n_steps + 1):
            run.log("zero", step, metrics(step, n_steps, chance))
            for _ in range(n_rollouts * step // n_steps // PER_GROUP
                           - n_rollouts * (step - 1) // n_steps // PER_GROUP):  # fmt: skip
                run.sample(group(step, n_steps, chance))


def metrics(step: int, n_steps: int, chance: random.Random) -> dict[str, float]:
    return {name: round(step / n_steps + chance.gauss(0, 0.05), 6) for name in METRICS}


def group(step: int, n_steps: int, chance: random.Random) -> dict[str, Any]:
    number = chance.randrange(500)
    problem = {"id": f"equation/{number}", "task": "equation", "language": "en",
               "question": f"Solve {number}x + 3 = 38", "gold": "5"}  # fmt: skip
    return {"kind": "group", "stage": "zero", "step": step, "problem": problem,
            "rollouts": [rollout(step / n_steps, chance) for _ in range(PER_GROUP)]}  # fmt: skip


def rollout(share: float, chance: random.Random) -> dict[str, Any]:
    n_tries = 1 + chance.randrange(1 + int(8 * share))
    text = "<think>" + "try 4: 31. wait, no. " * n_tries + "yes</think>\\boxed{5}"
    is_right = chance.random() < share
    return {"text": text, "correct": is_right, "why": "equal" if is_right else "not 5",
            "extracted": "5", "total": float(is_right), "finish": "stop", "n_tokens": 20 * n_tries,
            "reward": {"accuracy": float(is_right), "format": 1.0, "language": 1.0}}  # fmt: skip


@contextmanager
def watching(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    command = [sys.executable, "-m", "r1kit", "watch", str(folder), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield psutil.Process(process.pid), process.stdout.readline().split()[2]
        finally:
            process.terminate()


def measure(process: psutil.Process, url: str, folder: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        page.goto("about:blank")
        with timed("curves of all seeds, as a band", process):
            page.goto(f"{url}/#runs=seed0,seed1,seed2&stage=zero")
            page.wait_for_selector(".chart .legend b")
        with timed("rollouts of one seed, the first time", process):
            page.goto(f"{url}/#runs=seed0&tab=rollouts")
            page.wait_for_selector(".reader .answer")
        for query in ("verdict=right&order=longest", "order=worst&step=1000", "problem=equation/7"):
            with timed(f"list of rollouts, {query}", process):
                httpx.get(f"{url}/api/rollouts?run=seed0&{query}").raise_for_status()
        for seed in (1, 2):
            page.goto(f"{url}/#runs=seed{seed}&tab=rollouts")
            page.wait_for_selector(".reader .answer")
        print(f"memory of the server: {process.memory_info().rss / 1e6:.0f} MB")
        follow(page, process, url, folder)
        browser.close()


@contextmanager
def timed(what: str, process: psutil.Process) -> Iterator[None]:
    """Print the seconds of the block, and the processor time of the server in it."""
    started, before = time.perf_counter(), cpu_s(process)
    yield
    spent = time.perf_counter() - started
    print(f"{what}: {spent:.2f} s, of which the server computed {cpu_s(process) - before:.2f} s")


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def follow(page: Page, process: psutil.Process, url: str, folder: Path) -> None:
    """Append a step a second, and wait for each to be seen."""
    page.goto(f"{url}/#runs=seed0&stage=zero")
    page.wait_for_selector(".chart .legend b")
    chance, delays = random.Random(9), list[float]()
    query = {"runs": "seed0", "stage": "zero", "metrics": "loss"}
    n_steps = httpx.get(f"{url}/api/curves", params=query).json()["last"]
    before, began = cpu_s(process), time.perf_counter()
    for step in range(n_steps + 1, n_steps + 1 + N_LIVE):
        row = {"stage": "zero", "step": step, **metrics(step, n_steps, chance)}
        with (folder / "seed0" / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        started = time.perf_counter()
        page.wait_for_selector(f"#hero h2 >> text=/^R1-Zero {step:,} /")
        delays.append(time.perf_counter() - started)
        time.sleep(max(0.0, 1 - delays[-1]))
    share = (cpu_s(process) - before) / (time.perf_counter() - began)
    print(f"delay of a step: median {statistics.median(delays):.2f} s, longest {max(delays):.2f} s")
    print(f"the server used {100 * share:.1f} % of a core while the page followed the run")
    page.close()
    time.sleep(1)
    before = cpu_s(process)
    time.sleep(10)
    print(f"and {10 * (cpu_s(process) - before):.1f} % while nobody looked")


if __name__ == "__main__":
    main()
