"""Codeforces ratings, computed by hand."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1kit.errors import DataError
from r1kit.evals.codeforces import (
    CodeforcesRating,
    contest_rating,
    estimated_rating,
    expected_rank,
    percentile,
    rate_contest,
    read_ratings,
    score,
)
from r1kit.evals.scores import stderr
from r1kit.evals.standings import Contest, Participant, read_contests
from tests import hostile


def contest(*participants: tuple[float, float, float], worth: float | None = 500.0) -> Contest:
    """A contest of two problems; participants have points, penalty and rating."""
    return Contest("Round 1", {"1A": worth, "1B": worth}, [Participant(*p) for p in participants])


def test_the_expected_rank_of_equals_is_in_the_middle() -> None:
    assert expected_rank(1500, {1500.0: 2}) == 2
    assert expected_rank(1900, {1500.0: 11}) == pytest.approx(1 + 11 / 11)  # odds of 10 to 1


def test_the_rating_is_the_one_that_expects_the_achieved_rank() -> None:
    behind_two = contest(*[(2000, 0, 1500)] * 2, *[(0, 0, 1500)] * 3)
    result = rate_contest(behind_two, {"1A": [True]})
    # Two of five equals are better, so each wins with probability 2/5: the odds are 3 to 2.
    assert (result.rank, result.n_participants, result.n_missing) == (3, 5, 1)
    assert result.rating == pytest.approx(1500 + 400 * math.log10(3 / 2))
    assert not result.is_capped


def test_the_first_and_the_last_place_are_capped() -> None:
    field = contest((300, 0, 1400), (200, 0, 1200))
    first, last = (rate_contest(field, tries) for tries in ({"1A": [True]}, {"1A": [False]}))
    assert (first.rank, first.rating, first.is_capped) == (1, 1500, True)
    assert (last.rank, last.rating, last.is_capped) == (3, 0, True)


def test_rejected_submissions_cost_points_down_to_a_share() -> None:
    field = contest((0, 0, 1500))
    assert score(field, {"1A": [True], "1B": [False, False, True, False]}) == (500 + 400, 0)
    assert score(field, {"1A": [False] * 20 + [True]}) == (150, 0)
    assert score(field, {"1A": [False], "2A": [True]}) == (0, 0)


def test_contests_that_count_problems_decide_by_minutes() -> None:
    field = contest((1, 15, 1500), (1, 25, 1500), (1, 20, 1500), worth=None)
    assert score(field, {"1A": [False, False, True]}) == (1, 20)
    assert rate_contest(field, {"1A": [False, False, True]}).rank == 2  # ties share the best rank
    assert rate_contest(field, {"1A": [True]}).rank == 1


def test_the_rating_of_several_contests_is_their_mean() -> None:
    fields = [contest(*[(900, 0, rating)] * 2, *[(0, 0, rating)] * 3) for rating in (1400, 1700)]
    rating, results = contest_rating(fields, {"1/A": [True], "codeforces/1/B": [False]})
    assert [result.rank for result in results] == [3, 3]
    expected = [base + 400 * math.log10(3 / 2) for base in (1400, 1700)]
    assert [result.rating for result in results] == pytest.approx(expected)
    assert rating.value == pytest.approx(sum(expected) / 2)
    assert rating.stderr == pytest.approx(stderr(expected)) == pytest.approx(150)
    assert str(rating) == "1620 ± 150 (standings of 2 contests)"
    with pytest.raises(DataError, match="at least one contest"):
        contest_rating([], {})


@given(
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 3500)), min_size=1, max_size=30),
    st.lists(st.booleans(), max_size=4),
)
def test_the_expected_rank_of_a_rating_that_is_not_capped_is_the_rank(
    field: list[tuple[int, int]], tries: list[bool]
) -> None:
    participants = [(points, 0, rating) for points, rating in field]
    result = rate_contest(contest(*participants), {"1A": tries})
    ratings = Counter(float(rating) for _, rating in field)
    if not result.is_capped:
        assert expected_rank(result.rating, ratings) == pytest.approx(result.rank, abs=1e-6)
    assert 0 <= result.rating <= max(ratings) + 100


def test_an_estimate_solves_as_many_problems_as_expected() -> None:
    half = estimated_rating([(1500.0, [True])] * 5 + [(1500.0, [False])] * 5)
    assert half.value == pytest.approx(1500)
    # Ten residuals of 1/2, a slope of 10/4 per unit of log odds, and the correction 10/9.
    error = math.sqrt(10 * 0.25 * 10 / 9) / 2.5 * 400 / math.log(10)
    assert half.stderr == pytest.approx(error)
    assert str(half) == "about 1500 ± 116, estimated from 10 problem ratings"
    most = estimated_rating([(1500.0, [True] * 10 + [False])] * 3)
    assert most.value == pytest.approx(1900)  # odds of 10 to 1
    assert most.stderr == pytest.approx(0, abs=1e-6)  # every problem is solved exactly as expected


def test_samples_of_one_problem_are_not_independent() -> None:
    once = estimated_rating([(1400.0, [True]), (1600.0, [False]), (1500.0, [True])])
    often = estimated_rating([(1400.0, [True] * 9), (1600.0, [False] * 9), (1500.0, [True] * 9)])
    assert (once.value, once.stderr) == pytest.approx((often.value, often.stderr))


def test_an_estimate_without_a_maximum_is_a_bound() -> None:
    everything = estimated_rating([(1500.0, [True]), (1700.0, [True])])
    assert (everything.value, everything.stderr) == (2500, None)
    assert "a bound: all or none are solved" in str(everything)
    assert estimated_rating([(1500.0, [False])]).value == 700
    assert estimated_rating([(1500.0, [True, False])]) == CodeforcesRating(1500, None, True, 1, 0)
    with pytest.raises(DataError, match="none has one"):
        estimated_rating([(1500.0, [])])


def test_the_percentile_is_the_share_of_lower_ratings(tmp_path: Path) -> None:
    counted, listed = tmp_path / "counted.json", tmp_path / "listed.json"
    counted.write_text('{"1500": 2, "1200": 1, "1800": 1}')
    listed.write_text("[1500, 1800, 1200, 1500]")
    ratings = read_ratings(counted)
    assert ratings == read_ratings(listed) == [1200, 1500, 1500, 1800]
    assert [percentile(r, ratings) for r in (1000, 1500, 1501, 9999)] == [0, 25, 75, 100]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "5", '["a"]', '{"1500": 1e9}', '{"x": 1}', "[NaN]", '{"1": -1}', "[[1]]"],
)
def test_a_file_without_ratings_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "ratings.json").write_text(text)
    with pytest.raises(DataError, match="has no ratings; write"):
        read_ratings(tmp_path / "ratings.json")


API: dict[str, Any] = {
    "standings": {
        "status": "OK",
        "result": {
            "contest": {"id": 2024, "name": "Codeforces Round 980 (Div. 2)", "type": "CF"},
            "problems": [
                {"contestId": 2024, "index": "A", "name": "Bank", "points": 500.0, "rating": 800},
                {"contestId": 2024, "index": "B", "name": "Buying", "points": 1000.0},
            ],
            "rows": [
                {"party": {"members": [{"handle": "ann"}]}, "rank": 1, "points": 1400.0,
                 "penalty": 0},
                {"party": {"members": [{"handle": "guest"}]}, "rank": 0, "points": 900.0,
                 "penalty": 0},
                {"party": {"members": [{"handle": "bob"}, {"handle": "ann"}]}, "points": 1.0,
                 "penalty": 0},
                {"party": {"members": [{"handle": "bob"}]}, "rank": 2, "points": 480.0,
                 "penalty": 0},
            ],
        },
    },
    "rating_changes": [
        {"contestId": 2024, "handle": "ann", "rank": 1, "oldRating": 1600, "newRating": 1650},
        {"contestId": 2024, "handle": "bob", "rank": 2, "oldRating": 1200, "newRating": 1190},
    ],
}  # fmt: skip


def test_contests_are_read_as_the_api_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "contests.jsonl"
    bare = API | {"standings": API["standings"]["result"]}
    path.write_text(json.dumps(API) + "\n" + json.dumps(bare) + "\n")
    first, second = read_contests(str(path))
    assert first == second
    assert first.problems == {"2024A": 500.0, "2024B": 1000.0}
    assert first.participants == [Participant(1400, 0, 1600), Participant(480, 0, 1200)]
    assert rate_contest(first, {"2024A": [True]}).rank == 2


def test_a_line_that_is_no_contest_is_named(tmp_path: Path) -> None:
    path = tmp_path / "contests.jsonl"
    path.write_text(json.dumps(API) + "\n" + json.dumps(API | {"rating_changes": []}) + "\n")
    with pytest.raises(DataError, match=r"line 2, is no contest \(nobody in it is rated\)"):
        read_contests(str(path))
    path.write_text('{"status": "FAILED", "comment": "contestId: not found"}\n')
    with pytest.raises(DataError, match=r"line 1, is no contest \(standings: Field required\)"):
        read_contests(str(path))


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_contests_are_refused_or_read(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "contests.jsonl"
    path.write_bytes(hostile.as_bytes(data.draw(hostile.spoilt(API))) + b"\n")
    try:
        contests = read_contests(str(path))
    except DataError:
        return
    rating, _ = contest_rating(contests, {"2024A": [True]})
    assert math.isfinite(rating.value)
