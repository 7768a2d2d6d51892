"""transformers `generate`: all completions as one batch, left-padded prompts.

python benchmarks/peers/hf_generate.py WORK.json --threads T
"""

from __future__ import annotations

import argparse
import time

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from benchmarks.protocol import Answer, Channel, Work, take_stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", default="float32")
    asked = parser.parse_args()
    channel, work = Channel(take_stdout()), Work.read(asked.work)
    torch.set_num_threads(asked.threads)
    model = AutoModelForCausalLM.from_pretrained(
        work.model, dtype=getattr(torch, asked.dtype)
    ).eval()
    config = GenerationConfig(
        max_new_tokens=work.max_tokens,
        num_return_sequences=work.n_completions,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=work.eos_ids,
        pad_token_id=work.pad_id,
    )
    ids, mask = padded(work)

    def run() -> Answer:
        started = time.perf_counter()
        with torch.inference_mode():
            rows = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        completions = rows[:, ids.shape[1] :].tolist()
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "tokens": sum(map(work.length, completions))}

    channel.serve({"parameters": model.num_parameters()}, run)


def padded(work: Work) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the prompts [N, P], padded on the left, and the attention mask."""
    longest = max(map(len, work.prompt_ids))
    fill = [longest - len(prompt) for prompt in work.prompt_ids]
    pairs = list(zip(fill, work.prompt_ids, strict=True))
    ids = torch.tensor([[work.pad_id] * n + prompt for n, prompt in pairs])
    mask = torch.tensor([[0] * n + [1] * len(prompt) for n, prompt in pairs])
    return ids, mask


if __name__ == "__main__":
    main()
