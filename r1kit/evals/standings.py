"""Contests of Codeforces from a file: problems, and the rated participants with their points.

Each line of the file has the responses of two methods of Codeforces' API (or their `result`):

    {"standings": <contest.standings>, "rating_changes": <contest.ratingChanges>}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, ValidationError
from pydantic.alias_generators import to_camel

from r1kit.errors import DataError
from r1kit.files.rows import numbered_rows, unit_of


@dataclass(frozen=True, slots=True)
class Participant:
    """A rated participant: points and penalty in the contest, and the rating before it."""

    points: float
    penalty: float
    rating: float


@dataclass(frozen=True, slots=True)
class Contest:
    """A contest with its problems, `{"2024A": 500.0}`, and its rated participants."""

    name: str
    problems: dict[str, float | None]
    """points of each problem; None in contests that count problems and minutes"""
    participants: list[Participant]


class _Api(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class _Member(_Api):
    handle: str


class _Party(_Api):
    members: list[_Member]


class _Row(_Api):
    party: _Party
    points: FiniteFloat
    penalty: FiniteFloat = 0.0


class _Problem(_Api):
    contest_id: int
    index: str
    points: FiniteFloat | None = None


class _Head(_Api):
    name: str


class _Standings(_Api):
    contest: _Head
    problems: list[_Problem] = Field(min_length=1)
    rows: list[_Row]


class _Change(_Api):
    handle: str
    old_rating: FiniteFloat


def _result(response: Any) -> Any:
    """Return the result of a response of the API, or the value itself."""
    return response.get("result", response) if isinstance(response, dict) else response


class _ContestRow(BaseModel):
    standings: Annotated[_Standings, BeforeValidator(_result)]
    rating_changes: Annotated[list[_Change], BeforeValidator(_result)]


def read_contests(source: str) -> list[Contest]:
    """Read the contests of a file. Raises DataError for a line that has none."""
    return [_contest(row, number, source) for number, row in numbered_rows(source)]


def _contest(row: Any, number: int, source: str) -> Contest:
    try:
        read = _ContestRow.model_validate(row)
        contest = _rated(read)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(_not_a_contest(source, number, f"{where}: {first['msg']}")) from None
    if not contest.participants:
        raise DataError(_not_a_contest(source, number, "nobody in it is rated"))
    return contest


def _rated(read: _ContestRow) -> Contest:
    """Keep the participants whose rating changed: teams, guests and late submissions have none."""
    ratings = {change.handle: change.old_rating for change in read.rating_changes}
    handles = ((row, row.party.members[0].handle) for row in read.standings.rows
               if len(row.party.members) == 1)  # fmt: skip
    participants = [
        Participant(row.points, row.penalty, ratings[handle])
        for row, handle in handles
        if handle in ratings
    ]
    problems = {f"{item.contest_id}{item.index}": item.points for item in read.standings.problems}
    return Contest(read.standings.contest.name, problems, participants)


def _not_a_contest(source: str, number: int, why: str) -> str:
    return (
        f"{source}, {unit_of(source)} {number}, is no contest ({why}); it needs the responses of "
        "contest.standings and contest.ratingChanges at `standings` and `rating_changes` "
        "(docs/benchmarks-details.md)."
    )
