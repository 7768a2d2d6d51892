"""Run folders for the tests of `r1 watch`, written by the code that writes those of a run."""

from pathlib import Path
from typing import Any

from r1kit.config import parse
from r1kit.runs.run_dir import RunDir

HOSTILE = "</p></div><script>document.title='owned'</script><img src=x onerror=alert(2)>\u202e"
RECIPE = {
    "name": "tiny",
    "tasks": [{"name": "equation"}],
    "zero": {"n_steps": 40, "n_problems": 2, "n_completions": 4, "max_tokens": 64},
}


def rollout(step: int, place: int, text: str = "") -> dict[str, Any]:
    """A completion: the later ones of a group are right, ever longer and later with a wait."""
    is_right = place < step // 10
    body = text + "try 4. " + "wait, no. " * (step // 10) + "yes"
    tokens = ["<think>", body, "</think>", "5"]
    return {
        "text": f"<think>{body}</think>{5 if is_right else 4}",
        "correct": None if place == 3 and step == 5 else is_right,
        "why": "equal" if is_right else "not 5",
        "extracted": "5" if is_right else "4",
        "total": float(is_right) + 0.1,
        "reward": {"accuracy": float(is_right), "format": 1.0 - place / 4},
        "advantage": 0.5 if is_right else -0.25,
        "n_tokens": 10 + step + place,
        "finish": "stop",
        "tokens": tokens,
        "logprobs": [-0.01, -2.5, 0.0, None],
        "entropies": [0.05, 1.5, 0.0, None],
    }


def write_watched_run(path: Path, seed: int = 0, n_steps: int = 40, text: str = "") -> Path:
    """Write a run of two stages in the middle of the second, with a group every fifth step."""
    with RunDir.create_or_resume(path, parse(RECIPE | {"seed": seed}, "t")) as run:
        for step in range(1, 11):
            run.log("base", step, {"loss": 6 / step, "grad_norm": 1.0, "step_time": 0.5})
        shown = {"kind": "showcase", "stage": "base", "question": "1+1?", "gold": "2"}
        run.sample(shown | rollout(0, 0, text))
        run.mark_finished("base", {"data_from": "corpus"})
        for step in range(1, n_steps + 1):
            share = min(0.9, step / 40)
            run.log("zero", step, {
                "reward": share, "rewards/accuracy/mean": share + seed / 100,
                "completions/mean_length": 30.0 + step, "completions/mean_reflections": step / 10,
                "entropy": 0.5, "frac_reward_zero_std": 0.8, "grad_norm": 0.1, "step_time": 2.0,
                "accuracy/equation": share, "accuracy/series": share / 2,
                "memory/resident_mb": 900.0, "memory/peak_mb": 500.0,
            })  # fmt: skip
            if step % 5 == 0:
                task, language = ("equation", "en") if step % 2 else ("series", "ko")
                problem = {"id": f"equation/{step % 10}", "task": task, "language": language,
                           "question": f"Solve {text}", "gold": "5"}  # fmt: skip
                rollouts = [rollout(step, place, text) for place in range(4)]
                run.sample({"kind": "group", "stage": "zero", "step": step, "problem": problem,
                            "rollouts": rollouts})  # fmt: skip
    return path
