"""Scores that only some benchmarks have, from what their graders know of every completion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from r1kit.evals.codeforces import (
    CodeforcesRating,
    contest_rating,
    estimated_rating,
    percentile,
    read_contests,
    read_ratings,
)
from r1kit.evals.ifeval import FollowedLists, instruction_scores
from r1kit.evals.scores import Estimate, GradedProblem, ratio
from r1kit.types import Problem

CONTESTS, RATINGS = "codeforces_contests", "codeforces_ratings"
"""names of files in the folder of --data, without suffix"""
GradedPair = tuple[Problem, GradedProblem]
LOST = ("B>A", "A>B")
"""the games of a completion without an answer"""
MUCH = 3.0
"""weight of a verdict such as A>>B in ArenaHard's win rate"""


def ifeval_scores(problems: Sequence[GradedPair]) -> dict[str, Estimate]:
    """Return IFEval's accuracies except the strict one of prompts, which is pass@1.

    A completion without an answer follows no instruction.
    """
    followed = []
    for problem, graded in problems:
        nothing = [False] * len(problem.meta["instructions"])
        none: FollowedLists = {"strict": nothing, "loose": nothing}
        followed.append([sample.details or none for sample in graded.samples])
    scores = instruction_scores(followed)
    return {name: value for name, value in scores.items() if name != "prompt strict"}


def fact_scores(problems: Sequence[GradedPair]) -> dict[str, Estimate]:
    """Return SimpleQA's scores besides the share of correct answers, which is pass@1."""
    counts = [
        (sum(s.score for s in p.decided), sum(s.extracted is not None for s in p.decided),
         len(p.decided))
        for _, p in problems
        if p.decided
    ]  # fmt: skip
    values = {
        "attempted": ratio([(attempted, n) for _, attempted, n in counts]),
        "correct if attempted": ratio([(right, attempted) for right, attempted, _ in counts]),
        "F": ratio([(2 * right, attempted + n) for right, attempted, n in counts]),
    }
    return {name: value for name, value in values.items() if value is not None}


def arena_scores(problems: Sequence[GradedPair]) -> dict[str, Estimate]:
    """Return ArenaHard's win rate, in which a much better answer counts three times.

    Against one baseline this is what its Bradley-Terry fit gives.
    """
    clusters = []
    for _, graded in problems:
        pairs = [sample.details.get("games", LOST) for sample in graded.decided]
        weighted = [
            (_arena_weight(verdict), _arena_score(sign, verdict))
            for games in pairs
            for sign, verdict in zip((1, -1), games, strict=True)
        ]
        clusters.append((sum(w * x for w, x in weighted), sum(w for w, _ in weighted)))
    value = ratio([(hits, weight) for hits, weight in clusters if weight])
    return {} if value is None else {"win rate, >> thrice": value}


def _arena_weight(verdict: str) -> float:
    return MUCH if ">>" in verdict else 1.0


def _arena_score(sign: int, verdict: str) -> float:
    """Return the score of the model, which is A in the first game and B in the second."""
    if "=" in verdict:
        return 0.5
    return float((verdict[0] == "A") == (sign > 0))


EXTRA_SCORES: Mapping[str, Callable[[Sequence[GradedPair]], dict[str, Estimate]]] = {
    "ifeval": ifeval_scores,
    "simpleqa": fact_scores,
    "arenahard": arena_scores,
}
"""benchmark → function that returns its other scores by name"""


def codeforces_rating(problems: Sequence[GradedPair], data: Path | None) -> dict[str, Any] | None:
    """Return the rating on Codeforces as JSON: from contests in the folder, else an estimate.

    The percentile needs a file of users' ratings. None without decided or rated problems. Raises
    DataError for files in another form.
    """
    attempts = {p.id: [bool(s.correct) for s in graded.decided] for p, graded in problems}
    rating = _rating(problems, attempts, data)
    users = _file(data, RATINGS, ".json")
    if rating is None:
        return None
    rank = None if users is None else percentile(rating.value, read_ratings(users))
    below = "" if rank is None else f", above {rank:.1f} % of users"
    return {
        "value": rating.value,
        "stderr": rating.stderr,
        "is_estimated": rating.is_estimated,
        "percentile": rank,
        "text": f"rating {rating}{below}",
    }


def _rating(
    problems: Sequence[GradedPair],
    attempts: Mapping[str, Sequence[bool]],
    data: Path | None,
) -> CodeforcesRating | None:
    if (contests := _file(data, CONTESTS, ".jsonl")) is not None:
        return contest_rating(read_contests(str(contests)), attempts)[0]
    rated = [
        (float(problem.meta["rating"]), attempts[problem.id])
        for problem, _ in problems
        if isinstance(problem.meta.get("rating"), int | float) and attempts[problem.id]
    ]
    return estimated_rating(rated) if rated else None


def _file(data: Path | None, name: str, suffix: str) -> Path | None:
    path = None if data is None else data / f"{name}{suffix}"
    return path if path is not None and path.is_file() else None
