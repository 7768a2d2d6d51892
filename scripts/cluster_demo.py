"""R1-Zero on two sharded ranks and a vLLM server, which are killed; one process finishes it.

    python scripts/cluster_demo.py [--model FOLDER] [--out FOLDER]

Without a model it pretrains a tiny one first. Needs vLLM (`make vllm`) and two cores; it prints the
mismatch between vLLM and the learner in every step, and checks that nothing is lost or learned
twice, that the parts of two ranks make the model of one, and that two ranks learn what one does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors.torch import load_file

from r1kit.files.json_lines import read_lines

ROOT = Path(__file__).parents[1]
R1 = [sys.executable, "-m", "r1kit", "run"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
N_STEPS, N_PROBLEMS, N_COMPLETIONS = 8, 4, 8
LIMIT_S = 900.0
"""longest wait for a step"""
TOLERANCE = 1e-5
"""largest difference of a weight between two ranks and one: sums are in another order"""
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
    "VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1"),
}  # fmt: skip
RECIPE_FILE = "cluster-demo.toml"
RECIPE = """
name = "cluster-demo"
languages = ["en", "ko"]

[[tasks]]
name = "arithmetic"

[model]
path = {model}

[zero]
n_steps = {n_steps}
n_problems = {n_problems}
n_completions = {n_completions}
max_tokens = 64
loss_type = "dapo"
epsilon_high = 0.28
checkpoint_every = 1
optim = {{ lr = 1e-4 }}

[sampler]
kind = "vllm"
max_num_seqs = 32
vllm_args = "--max-model-len 512 --distributed-executor-backend uni"

[eval]
n_problems = 8
max_tokens = 64
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", type=Path, help="a Hugging Face folder")
    options.add_argument("--out", type=Path, default=Path("runs/cluster-demo"))
    given = options.parse_args()
    if given.out.exists() and not (given.out / RECIPE_FILE).exists():
        sys.exit(f"{given.out} is not of an earlier demo; name another folder with --out.")
    shutil.rmtree(given.out, ignore_errors=True)
    given.out.mkdir(parents=True)
    (given.out / RECIPE_FILE).touch()
    model = (given.model or small_model(given.out / "small")).absolute()
    recipe = given.out / RECIPE_FILE
    recipe.write_text(
        RECIPE.format(
            model=json.dumps(str(model)), n_steps=N_STEPS, n_problems=N_PROBLEMS,
            n_completions=N_COMPLETIONS,
        )
    )  # fmt: skip
    run = given.out / "run"
    interrupted(recipe, run)
    resumed(recipe, run)
    failures = [name for name, is_true in checks(recipe, run, given.out) if not is_true]
    sys.exit(f"Not true: {'; '.join(failures)}" if failures else 0)


def small_model(out: Path) -> Path:
    """Pretrain the base of recipes/smoke.toml, and return its folder."""
    say("A tiny model is pretrained")
    command = [*R1, str(ROOT / "recipes" / "smoke.toml"), "--out", str(out), "--to", "base"]
    call(command, out.parent / "small.log")
    return max(
        (out / "checkpoints").glob("base-*"), key=lambda path: int(path.name.rpartition("-")[2])
    )


def interrupted(recipe: Path, run: Path) -> None:
    """Train on two sharded ranks; kill the server, then a rank, each in the middle of a step."""
    say("torchrun starts two sharded ranks, and the first starts vLLM")
    command = [*TORCHRUN, "-m", *R1[2:], str(recipe), "--out", str(run)]
    command += ["--set", "compute.data_parallel_shard_degree=-1"]
    log = run.parent / "torchrun.log"
    with log.open("w") as file:
        job = subprocess.Popen(command, stdout=file, stderr=file, env=ENVIRONMENT)
    try:
        await_step(job, run, 2, log)
        kill(
            job,
            "the vLLM server",
            is_server,
        )
        await_step(job, run, 4, log)
        kill(job, "rank 1", lambda process: process.environ().get("RANK") == "1")
        started = time.monotonic()
        job.wait(LIMIT_S)
        say(f"torchrun has ended the job {time.monotonic() - started:.0f} s after its rank")
    finally:
        end(job)


def resumed(recipe: Path, run: Path) -> None:
    n_done = len(steps(run))
    say(f"One process resumes the run, of which {n_done} of {N_STEPS} steps are logged")
    sets = ["--set", "compute.n_processes=1"]
    call([*R1, str(recipe), "--out", str(run), *sets], run.parent / "resumed.log")


def checks(recipe: Path, run: Path, out: Path) -> Iterator[tuple[str, bool]]:
    """Print what came of it; yield each statement and whether it is true."""
    rows = steps(run)
    print("\nstep  reward  mismatch between vLLM and the learner: mean, max, k3 (nats per token)")
    for row in rows:
        name = "sampling/sampling_logp_difference"
        numbers = (row[f"{name}/mean"], row[f"{name}/max"], row["sampling/kl_k3"])
        print(f"{row['step']:4}  {row['reward']:6.3f}  " + "  ".join(f"{n:.2e}" for n in numbers))
    print()
    counted = [row["n_problems"] * N_COMPLETIONS for row in rows]
    yield from stated(
        f"every step from 1 to {N_STEPS} is there once",
        [row["step"] for row in rows] == list(range(1, N_STEPS + 1)),
    )
    yield from stated(
        f"{sum(counted):.0f} completions were learned from, {N_PROBLEMS} x {N_COMPLETIONS} a step",
        counted == [N_PROBLEMS * N_COMPLETIONS] * N_STEPS,
    )
    n_starts = (run / "sampler" / "vllm.log").read_text(errors="replace").count("r1kit: vLLM ended")
    yield from stated(f"the server was started again ({n_starts} time)", n_starts == 1)
    difference = ranks_apart(recipe, out)
    yield from stated(
        f"two steps on two sharded ranks and on one process end with the same weights: they differ "
        f"by {difference:.1e} at most",
        difference < TOLERANCE,
    )


def ranks_apart(recipe: Path, out: Path) -> float:
    """Return the largest difference of a weight after the same steps on two ranks and on one.

    r1kit's own engine samples: its completions do not depend on the number of processes.
    """
    say("The same two steps run on two sharded ranks and on one process, by r1kit's own engine")
    sets = "zero.n_steps=2", 'sampler.kind="local"', 'sampler.vllm_args=""'
    options = [word for item in sets for word in ("--set", item)]
    sharded = ["--set", "compute.data_parallel_shard_degree=-1"]
    one = ["--set", "compute.n_processes=1"]
    two_ranks, one_rank = out / "two-ranks", out / "one-rank"
    call(
        [*TORCHRUN, "-m", *R1[2:], str(recipe), "--out", str(two_ranks), *options, *sharded],
        out / "two-ranks.log",
    )
    call([*R1, str(recipe), "--out", str(one_rank), *options, *one], out / "one-rank.log")
    shards, whole = weights_of(two_ranks), weights_of(one_rank)
    assert shards.keys() == whole.keys()
    return max(float((shards[name] - whole[name]).abs().max()) for name in whole)


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    """Return the weights that a run ends with; two ranks have written a file each."""
    files = (run / "checkpoints" / "zero-000002").glob("*.safetensors")
    return {name: weight.double() for file in files for name, weight in load_file(file).items()}


def stated(sentence: str, is_true: bool) -> Iterator[tuple[str, bool]]:
    print(f"{'✓' if is_true else '✗'} {sentence}", flush=True)
    yield sentence, is_true


def steps(run: Path) -> list[dict[str, Any]]:
    """Return the logged steps of R1-Zero; a line that is being written is not one yet."""
    return [row for _, row in read_lines(run / "metrics.jsonl") if row["stage"] == "zero"]


def await_step(job: subprocess.Popen[bytes], run: Path, step: int, log: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while len(steps(run)) < step:
        if job.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"The run has not come to step {step}; its output is in {log}.")
        time.sleep(0.05)
    say(f"step {step} is done")


def kill(job: subprocess.Popen[bytes], name: str, is_it: Callable[[psutil.Process], bool]) -> None:
    """Kill the processes of the job that are meant, with SIGKILL."""
    for process in psutil.Process(job.pid).children(recursive=True):
        try:
            if is_it(process):
                process.kill()
        except psutil.Error:  # it has ended
            continue
    say(f"kill -9 {name}")


def is_server(process: psutil.Process) -> bool:
    """Return True for vLLM's own process, and not for the guard that starts it."""
    words = process.cmdline()
    return "vllm.entrypoints.openai.api_server" in words and not any("guard" in w for w in words)


def end(job: subprocess.Popen[bytes]) -> None:
    if job.poll() is None:
        job.terminate()
        job.wait(60)


def call(command: list[str], log: Path) -> None:
    with log.open("w") as file:
        code = subprocess.call(command, stdout=file, stderr=file, env=ENVIRONMENT)
    if code:
        sys.exit(f"`{' '.join(command)}` has ended with {code}; its output is in {log}.")


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what it has started, too
    main()
