"""What the R1 paper claims, and whether runs show it: one row a claim, by a rule written beside it.

A claim is turned into one number and a threshold, so that it holds when the number is larger. It
holds when it is larger by two standard errors, does not when it is smaller by two, and else is
undecided. The error is the larger one of two: between seeds, if there are three or more, and within
them. Nothing here is asked of a model; it reads run folders, without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from r1kit.claims.judge import judge
from r1kit.claims.paper import CLAIMS
from r1kit.claims.reading import MissingError
from r1kit.runs.run_reader import Evidence


def table(runs: Sequence[Evidence]) -> list[dict[str, Any]]:
    """The claims that all the runs have measured, as rows of results.json."""
    rows = []
    for claim in CLAIMS:
        try:
            readings = [claim.read(run) for run in runs]
        except (MissingError, KeyError):
            continue
        rows.append(asdict(judge(claim, readings)))
    return rows
