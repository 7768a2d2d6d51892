"""The workload: a model folder and the prompts, the same for every contender.

Problems, group size and limits are those of a recipe, by default recipes/tiny.toml. Without
`--model` a new model has the same shape as there; its weights are random except for the
end-of-sequence row, which is set so that the lengths of completions have the demo's mean and a
similar spread.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.protocol import Work
from r1kit.config import Recipe, load
from r1kit.model import causal_lm
from r1kit.model.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from r1kit.renderers import renderer_of
from r1kit.tasks import mix

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "tiny.toml"
MEAN_LENGTH = 60.0
"""mean completion length in the middle of the demo's training, tokens"""
LR = 1e-6
"""learning rate of the measured steps, small so that lengths stay the same over the repeats"""


def make(folder: Path, given: str | None, recipe_path: Path = RECIPE) -> Work:
    """Write a model to `folder`, unless one is `given`, and return the workload for it."""
    recipe = load(recipe_path)
    tasks = mix.load_tasks(recipe, "train")
    if given is None:
        tokenizer = train_tokenizer(map(tasks.document, range(1000)), recipe.model.vocab_size)
        model = _random_model(tokenizer, recipe)
        model.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)
    else:
        folder = Path(given).resolve()
        tokenizer = load_tokenizer(folder)
        model = causal_lm.load(folder, "cpu", torch.float32)
    questions = [problem.messages for problem in tasks.problems(0, recipe.zero.n_problems)]
    prompt_ids = [renderer_of(tokenizer).render_prompt(messages) for messages in questions]
    return Work(
        model=str(folder),
        questions=[messages[-1].content for messages in questions],
        prompts=[tokenizer.decode(ids) for ids in prompt_ids],
        prompt_ids=prompt_ids,
        eos_ids=sorted(causal_lm.eos_ids(model, tokenizer)),
        pad_id=tokenizer.pad_token_id,
        n_completions=recipe.zero.n_completions,
        max_tokens=recipe.zero.max_tokens,
        lr=LR,
        n_parameters=int(model.num_parameters()),
    )


def _random_model(tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> PreTrainedModel:
    model = causal_lm.build(
        recipe.model,
        len(tokenizer),
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
        tokenizer.bos_token_id,
        0,
    )
    _set_lengths(model, tokenizer.eos_token_id, _hazard(MEAN_LENGTH, recipe.zero.max_tokens))
    return model


def _hazard(mean: float, longest: int) -> float:
    """Return the chance of ending per token for which min(length, longest) has this mean."""
    low, high = 1e-6, 0.5
    while high - low > 1e-9:
        middle = (low + high) / 2
        is_longer = (1 - (1 - middle) ** longest) / middle > mean
        low, high = (middle, high) if is_longer else (low, middle)
    return low


@torch.no_grad()
def _set_lengths(model: PreTrainedModel, eos_id: int, hazard: float) -> None:
    """Make every state end with about this probability.

    All embeddings share a constant in coordinate 0, which survives the final norm as a bias; the
    end-of-sequence row of the tied head has a different weight there than the other rows.
    """
    table = model.get_input_embeddings().weight
    table[:, 0] = 0.2
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(len(table), (16, 128), generator=generator)
    low, high = -1.0, 1.0
    for _ in range(20):
        table[eos_id, 0] = 0.2 + (low + high) / 2
        mean = model(ids).logits.softmax(-1)[..., eos_id].mean().item()
        low, high = ((low + high) / 2, high) if mean < hazard else (low, (low + high) / 2)
