"""The rating of a model on Codeforces, from real contests or estimated from problem ratings.

    contests = read_contests("contests.jsonl")
    rating = contest_rating(contests, {"2024A": [False, True], "2024B": [True]})
    percentile(rating.value, read_ratings("ratings.json"))

In a contest, the model's submissions give points, points give its rank among the participants, and
its rating is the one whose expected rank is that rank. Without standings, a logistic curve through
the ratings of solved and unsolved problems estimates it, which no published number does.

Sources: Codeforces' open rating system (blog 20762) for the expected rank; CodeElo (Quan et al.
2025, arXiv 2501.01257) for the use on models: solutions are submitted in order until one is
accepted, at the start of the contest, so that no time is charged. The R1 paper rates ten Div. 2
contests so, but does not publish its formula. Departures: ranks count from 1 and ties share the
best one; a rejected submission takes 50 points down to 30 % of the problem, as Codeforces does.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from r1kit.errors import DataError
from r1kit.evals.scores import stderr
from r1kit.evals.standings import Contest, Participant, read_contests
from r1kit.files.text_files import read_text
from r1kit.files.untrusted import read_json

__all__ = ["contest_rating", "estimated_rating", "percentile", "read_contests", "read_ratings"]

ELO_SCALE = 400 / math.log(10)
"""rating points per unit of log odds"""
REJECTED_POINTS = 50
"""points that each rejected submission takes from a solved problem"""
MIN_SHARE = 0.3
"""smallest share of a problem's points that a solution gets"""
REJECTED_MINUTES = 10
"""penalty for each rejected submission, in contests that count problems and minutes"""
ABOVE_BEST = 100
"""rating above the best participant at which the rating of a winner is capped, as in CodeElo"""
BEYOND_PROBLEMS = 800
"""distance from the easiest and hardest problem at which an estimate is capped"""

Attempts = Mapping[str, Sequence[bool]]
"""whether each submission to a problem is accepted, in order; "2024A", "2024/A" or a problem id"""


@dataclass(frozen=True, slots=True)
class ContestResult:
    """The model in one contest."""

    contest: str
    rank: int
    n_participants: int
    rating: float
    is_capped: bool
    """True if no rating has this rank as its expected one: first or last place"""
    n_missing: int
    """problems of the contest without a submission, which count as unsolved"""


@dataclass(frozen=True, slots=True)
class CodeforcesRating:
    """A rating and its standard error."""

    value: float
    stderr: float | None
    """error of the mean over contests, or of the fit; None if one contest or a cap leaves none"""
    is_estimated: bool
    """True if it is fitted to problem ratings and not comparable with a rating from contests"""
    n: int
    """number of contests or problems"""
    n_capped: int

    def __str__(self) -> str:
        error = "" if self.stderr is None else f" ± {self.stderr:.0f}"
        if not self.is_estimated:
            capped = f", {self.n_capped} of them capped" if self.n_capped else ""
            return f"{self.value:.0f}{error} (standings of {self.n} contests{capped})"
        bound = " (a bound: all or none are solved)" if self.n_capped else ""
        return f"about {self.value:.0f}{error}{bound}, estimated from {self.n} problem ratings"


def contest_rating(
    contests: Sequence[Contest], attempts: Attempts
) -> tuple[CodeforcesRating, list[ContestResult]]:
    """Return the mean rating over contests, and the result of each."""
    by_problem = {_problem_key(name): tries for name, tries in attempts.items()}
    results = [rate_contest(contest, by_problem) for contest in contests]
    if not results:
        raise DataError(
            "A rating needs the standings of at least one contest; name a file of them."
        )
    ratings = [result.rating for result in results]
    error = stderr(ratings) if len(ratings) > 1 else None
    n_capped = sum(result.is_capped for result in results)
    return CodeforcesRating(fmean(ratings), error, False, len(results), n_capped), results


def rate_contest(contest: Contest, attempts: Attempts) -> ContestResult:
    """Return the rank and rating in one contest; `attempts` has keys such as "2024A"."""
    points, penalty = score(contest, attempts)
    rank = 1 + sum(_is_better(other, points, penalty) for other in contest.participants)
    ratings = Counter(other.rating for other in contest.participants)
    highest = max(ratings) + ABOVE_BEST
    rating = _crossing(lambda value: expected_rank(value, ratings) - rank, 0.0, highest)
    is_capped = not 0 < rating < highest
    n_missing = sum(not attempts.get(problem) for problem in contest.problems)
    return ContestResult(
        contest.name, rank, len(contest.participants), rating, is_capped, n_missing
    )


def score(contest: Contest, attempts: Attempts) -> tuple[float, float]:
    """Return points and penalty minutes of the submissions."""
    points = penalty = 0.0
    for problem, worth in contest.problems.items():
        tries = attempts.get(problem, ())
        if True not in tries:
            continue
        n_rejected = list(tries).index(True)
        if worth is None:  # problems count one point each, and minutes decide between equals
            points += 1
            penalty += REJECTED_MINUTES * n_rejected
        else:
            points += max(MIN_SHARE * worth, worth - REJECTED_POINTS * n_rejected)
    return points, penalty


def _is_better(participant: Participant, points: float, penalty: float) -> bool:
    return (-participant.points, participant.penalty) < (-points, penalty)


def expected_rank(rating: float, others: Mapping[float, int]) -> float:
    """Return the expected rank among participants, given as a number per rating."""
    return 1 + sum(n * (1 - win_probability(rating, other)) for other, n in others.items())


def win_probability(rating: float, other: float) -> float:
    """Return the Elo probability of a rating to win against another, or to solve a problem."""
    return 1 / (1 + math.exp(max(min((other - rating) / ELO_SCALE, 700.0), -700.0)))


def estimated_rating(problems: Sequence[tuple[float, Sequence[bool]]]) -> CodeforcesRating:
    """Estimate a rating from problems: the rating of each, and whether each sample solves it.

    A problem of rating d is solved with the Elo probability of winning against d. The maximum of
    the likelihood has as many solved problems as expected; its standard error treats the problems
    as independent, not the samples of one, and needs no curve of the assumed steepness.
    """
    rated = [(rating, fmean(solved)) for rating, solved in problems if solved]
    if not rated:
        raise DataError("An estimated rating needs problems that have ratings; none has one.")
    low = min(rating for rating, _ in rated) - BEYOND_PROBLEMS
    high = max(rating for rating, _ in rated) + BEYOND_PROBLEMS

    def residuals(value: float) -> list[float]:
        return [share - win_probability(value, rating) for rating, share in rated]

    value = _crossing(lambda rating: sum(residuals(rating)), low, high)
    if not low < value < high:
        return CodeforcesRating(value, None, True, len(rated), 1)
    return CodeforcesRating(value, _fit_error(value, rated, residuals(value)), True, len(rated), 0)


def _fit_error(
    value: float, rated: Sequence[tuple[float, float]], residuals: Sequence[float]
) -> float | None:
    """Return the sandwich error of the fitted rating, with the correction for few problems."""
    n = len(rated)
    chances = [win_probability(value, rating) for rating, _ in rated]
    slope = sum(chance * (1 - chance) for chance in chances) / ELO_SCALE
    squares = sum(residual**2 for residual in residuals) * n / (n - 1) if n > 1 else 0.0
    return math.sqrt(squares) / slope if n > 1 else None


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function is zero; `low` or `high` if it is not zero between them."""
    if falling(low) <= 0:
        return low
    if falling(high) >= 0:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2


def percentile(rating: float, ratings: Sequence[float]) -> float:
    """Return the percentage of users, given by their sorted ratings, who have a lower rating."""
    return 100 * bisect_left(ratings, rating) / len(ratings)


def read_ratings(path: str | Path) -> list[float]:
    """Read the ratings of users: `{"1500": 12, ...}` with numbers of users, or a list of ratings.

    Returns them sorted. Raises DataError for a file in another form.
    """
    try:
        ratings = sorted(_listed(read_json(read_text(Path(path), DataError))))
    except (ValueError, TypeError, OverflowError):
        ratings = []
    if not ratings or not all(map(math.isfinite, ratings)):
        raise DataError(
            f'{path} has no ratings; write {{"1500": 12, ...}} with the number of users of each '
            "rating, or a list with the rating of every user."
        )
    return ratings


def _listed(content: Any) -> list[float]:
    if isinstance(content, dict):
        counts = {float(rating): count for rating, count in content.items()}
        return [rating for rating, count in counts.items() for _ in range(_user_count(count))]
    return [float(rating) for rating in content] if isinstance(content, list) else []


def _user_count(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value <= 10**7:
        raise ValueError("is no number of users")
    return value


def _problem_key(name: str) -> str:
    """Return "2024A" of "2024A", "2024/A" and "codeforces/2024/A"."""
    return name.removeprefix("codeforces/").replace("/", "")
