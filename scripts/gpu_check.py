"""Train a real base for a few steps on the GPU in every way that r1kit has, and write the numbers.

    python scripts/gpu_check.py --model FOLDER [--out FOLDER] [--steps 4] [--set KEY=VALUE]

The ways: r1kit's own sampler; the same with FSDP2 under torchrun; a vLLM server on the same GPU, if
vLLM is installed. Each is a short run of recipes/smollm.toml on the given model. A way that fails
is listed with its last line, and the others go on. Without a GPU the same runs use the CPU: that
tests this script, and its numbers are not for comparison.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from r1kit.console.markdown_text import table
from r1kit.runs.run_reader import read, read_forecast

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "smollm.toml"
SETTINGS = (
    "compute.dtype=bfloat16", "compute.micro_batch_tokens=16384", "sampler.max_num_seqs=256",
    "zero.n_problems=32", "zero.n_completions=8", "zero.max_tokens=128", "eval.n_problems=16",
    "eval.n_completions=1",
)  # fmt: skip
RUN = ["-m", "r1kit", "run", str(RECIPE), "--to", "zero"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
VLLM_ARGS = "--gpu-memory-utilization 0.4 --max-model-len 2048"
LIMIT_S = 240.0
"""longest time of one way"""
HEAD = (
    "way", "s per step", "sample tokens/s", "share of bandwidth, at least", "learn tokens/s", "MFU",
    "peak GB", "planned GB", "s planned, at most", "mismatch, nats per token",
)  # fmt: skip


@dataclass(frozen=True)
class Way:
    """A way to run the recipe: `Way("FSDP2", TORCHRUN, ("compute....=-1",))`."""

    name: str
    launcher: list[str]
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What a way came to: medians over its steps after the first."""

    way: str
    step_s: float
    sampled_per_s: float
    bandwidth_share: float
    """bytes of weights read for sampled tokens, relative to the bandwidth of a copy; at least:
    every completion is taken to be open until the last ends, and caches are not counted"""
    learned_per_s: float
    mfu: float
    peak_gb: float
    planned_gb: float | None
    planned_s: float | None
    mismatch: float


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--model", type=Path, required=True, help="a Hugging Face folder")
    options.add_argument("--out", type=Path, default=Path("runs/gpu-check"))
    options.add_argument("--steps", type=int, default=4, help="steps of each way; default: 4")
    options.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    given = options.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    speed = copy_bandwidth()
    say(f"{device_name()}: a copy moves {speed / 1e12:.2f} TB/s, read and written")
    changes = (*SETTINGS, f"model.path={given.model.absolute()}", f"zero.n_steps={given.steps}")
    rows: list[Measured] = []
    failed: list[str] = []
    for way in ways():
        run = given.out / way.name.replace(" ", "-")
        say(f"{way.name}: {given.steps} steps")
        if error := started(way, run, (*changes, *given.changes)):
            failed.append(f"{way.name}: {error}")
            say(failed[-1])
        else:
            rows.append(measured(way.name, run, weight_bytes(given.model), speed))
    write(given.out, rows, failed, speed)
    sys.exit(1 if failed else 0)


def ways() -> list[Way]:
    own = [
        Way("own sampler", []),
        Way("FSDP2", TORCHRUN, ("compute.data_parallel_shard_degree=-1",)),
    ]
    if importlib.util.find_spec("vllm") is None:
        say("vLLM is not installed: its way is left out")
        return own
    changes = ("sampler.kind=vllm", f'sampler.vllm_args="{VLLM_ARGS}"')
    return [*own, Way("vLLM on the same GPU", [], changes)]


def started(way: Way, run: Path, changes: tuple[str, ...]) -> str | None:
    """Run a way from its beginning; return the last line of its output if it fails."""
    shutil.rmtree(run, ignore_errors=True)
    sets = [word for change in (*changes, *way.changes) for word in ("--set", change)]
    command = [sys.executable, *way.launcher, *RUN, "--out", str(run), *sets]
    log = run.with_suffix(".log")
    with log.open("w", encoding="utf-8") as file:
        try:
            code = subprocess.run(command, stdout=file, stderr=file, timeout=LIMIT_S).returncode
        except subprocess.TimeoutExpired:
            return f"has not ended after {LIMIT_S:.0f} s; its output is in {log}"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "") if code else None


def measured(name: str, run: Path, n_bytes: float, speed: float) -> Measured:
    contents = read(run)
    zero = contents.recipe["zero"]
    steps = [row for row in contents.metrics if row["stage"] == "zero"]
    steady = steps[1:] or steps
    plan = read_forecast(run).get("zero")  # a job of torchrun has none

    def median(key: str) -> float:
        return float(statistics.median(row.get(key, 0.0) for row in steady))

    sampled = median("time/sampled_tokens_per_s")
    return Measured(
        way=name,
        step_s=median("step_time"),
        sampled_per_s=sampled,
        bandwidth_share=sampled / (zero["n_problems"] * zero["n_completions"]) * n_bytes / speed,
        learned_per_s=statistics.median(
            row["n_trained_tokens"] / row["time/learn_s"] for row in steady
        ),
        mfu=median("time/mfu"),
        peak_gb=max(row["memory/peak_mb"] for row in steps) / 1e3,
        planned_gb=plan and plan["peak_mb"] / 1e3,
        planned_s=plan and plan["step_s"],
        mismatch=median("sampling/sampling_logp_difference/mean"),
    )


def weight_bytes(model: Path) -> float:
    """Return the bytes of a model's weights in bfloat16."""
    n = 0
    for path in model.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            n += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return 2.0 * n


def write(out: Path, rows: list[Measured], failed: list[str], speed: float) -> None:
    """Write numbers.json and README.md to `out`, and print the table."""
    facts = {
        "device": device_name(), "torch": torch.__version__, "copy_bandwidth": speed,
        "rows": [asdict(row) for row in rows], "failed": failed,
    }  # fmt: skip
    (out / "numbers.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    cells = [
        [
            row.way, f"{row.step_s:.1f}", f"{row.sampled_per_s:,.0f}",
            f"{100 * row.bandwidth_share:.0f} %", f"{row.learned_per_s:,.0f}",
            f"{100 * row.mfu:.0f} %", f"{row.peak_gb:.1f}",
            *("–" if n is None else f"{n:.1f}" for n in (row.planned_gb, row.planned_s)),
            f"{row.mismatch:.1e}",
        ]
        for row in rows
    ]  # fmt: skip
    text = table(list(HEAD), cells)
    (out / "README.md").write_text(
        f"# {device_name()}\n\n{text}\n\n" + "".join(f"- failed: {line}\n" for line in failed),
        encoding="utf-8",
    )
    print(text)


def copy_bandwidth() -> float:
    """Return the bytes per second that a large copy reads and writes on the device."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = torch.ones((1 << 30) if device == "cuda" else (1 << 27), dtype=torch.uint8)
    source = source.to(device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * source.numel() / best


def device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU, no GPU"


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    main()
