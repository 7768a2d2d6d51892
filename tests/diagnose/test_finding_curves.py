"""Every finding of the rules has curves that show it."""

import re
from pathlib import Path

from r1kit.diagnose.curves import CURVES_OF
from r1kit.diagnose.rl import __file__ as rl_file
from r1kit.diagnose.supervised import __file__ as supervised_file

ROOT = Path(__file__).parents[2]


def test_every_title_of_a_rule_has_its_curves_and_no_other_has() -> None:
    source = "".join(Path(file).read_text(encoding="utf-8") for file in (rl_file, supervised_file))
    titles = set(
        re.findall(r'(?:"(?:warning|note)"|level|is_often else "note"),\s*"([A-Z][^"]+)"', source)
    )
    assert titles == set(CURVES_OF)


def test_every_curve_is_a_metric_that_runs_have() -> None:
    documented = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8").split("## Metrics")[1]
    for names in CURVES_OF.values():
        for name in names:
            assert (
                f"`{name}`" in documented.replace("preference", "<part>")
                or f"`{re.sub('(?<=rewards/)[a-z]+', '<part>', name)}`" in documented
            ), name
