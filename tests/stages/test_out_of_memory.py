"""Memory that runs out, for real, in a process with a limit; and the settings named for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from r1kit.config import Recipe, load
from r1kit.stages.out_of_memory import smaller_settings

RECIPE = """
name = "t"
languages = ["en"]
[[tasks]]
name = "equation"
[model]
n_layers = 12
hidden = 64
intermediate = 128
n_heads = 2
n_kv_heads = 2
[base]
tokens = 400_000
batch_tokens = 200_000
[compute]
n_processes = 1
micro_batch_tokens = 200_000
"""
LIMITED = """
import resource, sys
import torch, transformers
from r1kit.cli import main
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 1_000_000_000,) * 2)
main()
"""
"""the command r1, with a gigabyte more than its imports take"""


def smoke(*overrides: str) -> Recipe:
    return load(Path("smoke"), list(overrides))


def test_what_needs_less_is_computed_from_the_recipe() -> None:
    learning = smaller_settings(smoke("compute.micro_batch_tokens=1024"), 2, while_sampling=False)
    assert learning[:4] == [
        "compute.micro_batch_tokens = 512",
        "compute.gradient_checkpointing = true",
        "compute.data_parallel_shard_degree = -1",
        "compute.n_processes = 1",
    ]
    sampling = smaller_settings(smoke("sampler.max_num_seqs=64"), 1, while_sampling=True)
    assert sampling == [
        "sampler.max_num_seqs = 32",
        "compute.dtype = bfloat16 (in a new run)",
        "lora.r = 16 (in a new run, which trains adapters)",
    ]
    tight = smoke(
        "compute.micro_batch_tokens=256", "compute.gradient_checkpointing=true", "lora.r=4",
        "compute.dtype=bfloat16",
    )  # fmt: skip
    assert smaller_settings(tight, 1, while_sampling=False) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS limits torch on Linux alone")
def test_a_run_whose_memory_is_used_up_says_what_to_change(tmp_path: Path) -> None:
    recipe = tmp_path / "big.toml"
    recipe.write_text(RECIPE)
    command = [sys.executable, "-c", LIMITED, "run", str(recipe), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    text = " ".join(done.stderr.split())
    assert done.returncode == 6, text
    assert "The run starts without a plan. Measuring the model has used up the memory" in " ".join(
        done.stdout.split()
    )
    assert "The memory is used up in stage base; set compute.micro_batch_tokens = 100000" in text
    assert "Traceback" not in text
