"""vLLM on the CPU, offline: all completions of one call.

python benchmarks/peers/vllm_generate.py WORK.json --threads T [--dtype bfloat16] [--eager]
"""

from __future__ import annotations

import argparse
import os
import time

from benchmarks.protocol import Answer, Channel, Work, take_stdout

CONTEXT = 2048
"""longest prompt and completion together, in tokens"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--eager", action="store_true")
    asked = parser.parse_args()
    channel, work = Channel(take_stdout()), Work.read(asked.work)
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "2"
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = f"0-{asked.threads - 1}"
    from vllm import LLM, SamplingParams  # reads the environment when it is imported

    llm = LLM(
        model=work.model,
        dtype=asked.dtype,
        enforce_eager=asked.eager,
        max_model_len=CONTEXT,
        generation_config="vllm",
        disable_log_stats=True,
    )
    sampling = SamplingParams(
        n=work.n_completions,
        temperature=1.0,
        max_tokens=work.max_tokens,
        stop_token_ids=work.eos_ids,
        detokenize=False,
    )
    prompts = [{"prompt_token_ids": ids} for ids in work.prompt_ids]

    def run() -> Answer:
        started = time.perf_counter()
        requests = llm.generate(prompts, sampling, use_tqdm=False)
        seconds = time.perf_counter() - started
        tokens = sum(len(answer.token_ids) for request in requests for answer in request.outputs)
        return {"seconds": seconds, "tokens": tokens}

    channel.serve({"parameters": work.n_parameters}, run)


if __name__ == "__main__":
    main()
