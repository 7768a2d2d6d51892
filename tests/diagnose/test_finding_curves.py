"""Every finding of the rules has curves that show it."""

import re
from pathlib import Path

from r1kit.diagnose.curves import CURVES_OF
from r1kit.diagnose.finding_texts import FINDING_TEXTS

ROOT = Path(__file__).parents[2]


def test_every_kind_of_finding_has_its_curves_and_its_texts() -> None:
    kinds = {key.removesuffix(".title") for key in FINDING_TEXTS["en"] if key.endswith(".title")}
    assert kinds - {"healthy"} == set(CURVES_OF)


def test_every_curve_is_a_metric_that_runs_have() -> None:
    documented = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8").split("## Metrics")[1]
    for names in CURVES_OF.values():
        for name in names:
            assert (
                f"`{name}`" in documented.replace("preference", "<part>")
                or f"`{re.sub('(?<=rewards/)[a-z]+', '<part>', name)}`" in documented
            ), name
