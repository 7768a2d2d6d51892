"""Claims of the R1 paper, and whether runs confirm them: one row per claim, each with its rule.

A claim is expressed as one number and a threshold, so that it holds if the number is larger. It
holds if the number is larger by two standard errors, fails if it is smaller by two, and is
undecided otherwise. The error is the larger of two: the error between seeds, if there are three or
more, and the error within them. No model is run: the numbers come from run folders, without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from r1kit.claims.decide import judge
from r1kit.claims.paper import CLAIMS
from r1kit.claims.reading import MissingError
from r1kit.runs.run_reader import RunContents


def table(runs: Sequence[RunContents]) -> list[dict[str, Any]]:
    """Return the claims that all the runs have measured, as rows of results.json."""
    rows = []
    for claim in CLAIMS:
        try:
            readings = [claim.read(run) for run in runs]
        except (MissingError, KeyError):
            continue
        facts = {key: fact for key, fact in vars(claim).items() if key != "read"}
        rows.append(facts | asdict(judge(claim, readings)))
    return rows
