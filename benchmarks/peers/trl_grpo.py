"""TRL's GRPOTrainer, whole steps: sample, score, learn.

    python benchmarks/peers/trl_grpo.py WORK.json --threads T [--rows 64] [--continuous-batching]

Configured for speed: fp32, no reference model, one iteration, and no logging, saving, evaluation or
gradient checkpointing. `--rows` is the micro-batch of the learner; generation always takes all rows
at once. A step is timed from Trainer's `on_step_begin` to its `on_step_end`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from benchmarks.protocol import Channel, Work, coin, take_stdout


class Steps(TrainerCallback):
    """Runs one step of the trainer per request of the driver."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.started = 0.0
        self.tokens = 0

    def reward(self, completions: list[str], completion_ids: list[list[int]], **_: Any) -> Any:
        self.tokens += sum(map(len, completion_ids))
        return [coin(text) for text in completions]

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        if not self.channel.wanted():
            sys.exit(0)
        self.tokens, self.started = 0, time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        seconds = time.perf_counter() - self.started
        self.channel.send({"seconds": seconds, "tokens": self.tokens})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--continuous-batching", action="store_true")
    asked = parser.parse_args()
    channel, work = Channel(take_stdout()), Work.read(asked.work)
    torch.set_num_threads(asked.threads)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work.model)
    if tokenizer(work.prompts)["input_ids"] != work.prompt_ids:
        raise SystemExit("The tokenizer reads the prompts differently here; compare versions.")
    model = AutoModelForCausalLM.from_pretrained(work.model, dtype=getattr(torch, asked.dtype))
    steps = Steps(channel)
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=model,
            processing_class=tokenizer,
            reward_funcs=steps.reward,
            train_dataset=Dataset.from_dict({"prompt": work.prompts}),
            args=settings(work, asked.rows, asked.continuous_batching, folder),
            callbacks=[steps],
        )
        channel.send({"parameters": model.num_parameters()})
        trainer.train()


def settings(work: Work, rows: int, continuous_batching: bool, folder: str) -> GRPOConfig:
    n_rows = len(work.prompts) * work.n_completions
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=n_rows // rows,
        num_generations=work.n_completions,
        max_completion_length=work.max_tokens,
        max_steps=1_000_000,
        learning_rate=work.lr,
        lr_scheduler_type="constant",
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        beta=0.0,
        num_iterations=1,
        loss_type="dapo",
        epsilon=0.2,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        use_transformers_continuous_batching=continuous_batching,
        transformers_continuous_batching_config={
            "page_size": 256,
            "num_blocks": n_rows + 8,
            "max_batch_tokens": 4096,
        }
        if continuous_batching
        else None,
        logging_strategy="no",
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


if __name__ == "__main__":
    main()
