"""Groups of rollouts for the reader of the page: texts cut into parts that are shown differently.

Every text stays a text: the page puts it into the document as it is, and never as markup.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from r1kit.files.untrusted import to_bytes
from r1kit.renderers.thinking import parse
from r1kit.verify.reflection import reflection_spans
from r1kit.watch.rollout_index import RolloutFilter, RolloutIndex, score

MarkedText = dict[str, Any]

PROBLEM_KEYS = ("id", "question", "gold", "task", "language")


def rollout_rows(
    index: RolloutIndex, wanted: RolloutFilter, order: str, start: int, n: int
) -> dict[str, Any]:
    """Return a page of the list of rollouts, and the choices that the filters have."""
    total, numbers = index.find(wanted, order, start, n)
    tasks = sorted({problem.task for problem in index.problems if problem.task})
    languages = sorted({problem.language for problem in index.problems if problem.language})
    return {
        "generation": index.generation,
        "total": total,
        "rows": [index.row(number) for number in numbers],
        "n_rollouts": len(index),
        "n_groups": index.n_groups,
        "n_damaged": index.n_damaged,
        "stages": index.stages,
        "tasks": tasks,
        "languages": languages,
        "parts": index.parts,
    }


def group_page(index: RolloutIndex, group: int) -> dict[str, Any] | None:
    """Return a group with all its rollouts; None if there is none of this number."""
    record = index.record(group)
    if record is None:
        return None
    is_group = record.get("kind") == "group"
    problem = record.get("problem") if is_group else record
    problem = problem if isinstance(problem, dict) else {}
    rollouts = record.get("rollouts") if is_group else [record]
    rollouts = [item for item in rollouts or [] if isinstance(item, dict)]
    scores = [score(rollout) for rollout in rollouts]
    mean = sum(scores) / len(scores) if scores else 0.0
    return {
        "group": group,
        "stage": record.get("stage"),
        "step": record.get("step"),
        "problem": {key: problem.get(key) for key in PROBLEM_KEYS},
        "has_total": any("total" in rollout for rollout in rollouts),
        "mean_score": mean,
        "rollouts": [
            {**_rollout(rollout), "score": value}
            for rollout, value in zip(rollouts, scores, strict=True)
        ],
    }


def _rollout(rollout: dict[str, Any]) -> dict[str, Any]:
    text = str(rollout.get("text", ""))
    parsed = parse(text)
    reward = rollout.get("reward")
    return {
        "text": text,
        "thinking": None if parsed.thinking is None else text_parts(parsed.thinking),
        "answer": None if parsed.answer is None else text_parts(parsed.answer),
        "correct": rollout.get("correct"),
        "extracted": rollout.get("extracted"),
        "why": rollout.get("why", ""),
        "reward": reward if isinstance(reward, dict) else {},
        "n_tokens": rollout.get("n_tokens"),
        "finish": rollout.get("finish"),
        "tokens": token_parts(rollout),
        "advantage": _number(rollout.get("advantage")),
    }


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and abs(value) < sys.float_info.max else None


TokenPart = tuple[str, float | None, float | None]
"""a token, its log-probability, and the entropy of the distribution it was sampled from"""


def token_parts(rollout: dict[str, Any]) -> list[TokenPart] | None:
    """Return the recorded tokens; None if there are none. Older runs have no entropies."""
    tokens, logprobs = rollout.get("tokens"), rollout.get("logprobs")
    if not isinstance(tokens, list) or not isinstance(logprobs, list):
        return None
    entropies = rollout.get("entropies")
    if not isinstance(entropies, list):
        entropies = [None] * len(tokens)
    return [
        (str(token), _number(logprob), _number(entropy))
        for token, logprob, entropy in zip(tokens, logprobs, entropies, strict=False)
    ]


def text_parts(text: str) -> list[MarkedText]:
    """Cut a text at its reflective words: `{"text": "wait", "is_reflection": True}`."""
    parts: list[MarkedText] = []
    end = 0
    for first, last in reflection_spans(text):
        if text[end:first]:
            parts.append({"text": text[end:first]})
        parts.append({"text": text[first:last], "is_reflection": True})
        end = last
    return parts if end and not text[end:] else [*parts, {"text": text[end:]}]


def problem_history(index: RolloutIndex, problem: str) -> list[dict[str, Any]]:
    """Return the groups of one problem in the order of stages and steps, without texts."""
    history = []
    for group, places in index.rollouts(RolloutFilter(problem=problem)):
        rows = [index.row(index.number(group, place)) for place in places]
        history.append(
            {
                **{key: rows[0][key] for key in ("group", "stage", "step")},
                "n": len(rows),
                "n_right": sum(row["verdict"] == "right" for row in rows),
                "mean_tokens": sum(row["n_tokens"] for row in rows) / len(rows),
            }
        )
    return history


def exported(index: RolloutIndex, wanted: RolloutFilter) -> Iterator[bytes]:
    """Yield the rollouts that fit as lines of JSON, each with its problem, stage and step."""
    for group, places in index.rollouts(wanted):
        record = index.record(group)
        if record is None:
            continue
        if record.get("kind") != "group":
            yield to_bytes(record) + b"\n"
            continue
        beside = {key: record.get(key) for key in ("stage", "step", "problem")}
        for place in places:
            yield to_bytes({**beside, **record["rollouts"][place]}) + b"\n"
