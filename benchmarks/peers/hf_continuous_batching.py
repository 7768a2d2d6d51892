"""transformers continuous batching: `generate_batch` over its paged cache.

    python benchmarks/peers/hf_continuous_batching.py WORK.json --threads T

The manager and its cache are kept between runs. The cache is sized for the whole workload, like
r1kit's; by default it would take 60 % of the machine's memory.
"""

from __future__ import annotations

import argparse
import time

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig

from benchmarks.protocol import Answer, Channel, Work, take_stdout

PAGE = 256
"""tokens per page: each request fits into one page"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--attention", default="sdpa", choices=("sdpa", "paged|eager"))
    asked = parser.parse_args()
    channel, work = Channel(take_stdout()), Work.read(asked.work)
    torch.set_num_threads(asked.threads)
    model = AutoModelForCausalLM.from_pretrained(
        work.model, dtype=getattr(torch, asked.dtype), attn_implementation=asked.attention
    ).eval()
    prompts = [prompt for prompt in work.prompt_ids for _ in range(work.n_completions)]
    generation = GenerationConfig(
        max_new_tokens=work.max_tokens,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=work.eos_ids,
        pad_token_id=work.pad_id,
    )
    batching = ContinuousBatchingConfig(
        page_size=PAGE, num_blocks=len(prompts) + 8, max_batch_tokens=4096
    )

    def run() -> Answer:
        started = time.perf_counter()
        done = model.generate_batch(
            prompts,
            generation_config=generation,
            continuous_batching_config=batching,
            persistent_manager=True,
        )
        seconds = time.perf_counter() - started
        if len(done) < len(prompts):
            raise RuntimeError(f"{len(done)} of {len(prompts)} completions came back; see the log")
        errors = {answer.error for answer in done.values() if answer.error}
        if errors:
            raise RuntimeError("; ".join(sorted(errors)))
        tokens = sum(work.length(answer.generated_tokens) for answer in done.values())
        return {"seconds": seconds, "tokens": tokens}

    channel.serve({"parameters": model.num_parameters()}, run)


if __name__ == "__main__":
    main()
