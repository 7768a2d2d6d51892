"""docs/benchmarks.md has the suite and the published scores as the code has them."""

import runpy
from pathlib import Path

from r1kit.evals.protocols import PROTOCOLS
from r1kit.evals.suite import BENCHMARKS

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "benchmarks_reference.py"))
PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_the_tables_are_up_to_date() -> None:
    assert SCRIPT["with_tables"](PAGE) == PAGE, "run: python scripts/benchmarks_reference.py"
    assert all(f"| `{name}` |" in PAGE for name in [*BENCHMARKS, *PROTOCOLS])
    assert SCRIPT["with_tables"](PAGE.replace("97.3", "97.2")) == PAGE


def test_the_protocols_are_those_of_the_page() -> None:
    rows = {
        line.split("|")[1].strip(" `"): line for line in PAGE.splitlines() if line.startswith("| `")
    }
    for name, protocol in PROTOCOLS.items():
        cells = [cell.strip() for cell in rows[name].split("|")[2:6]]
        system = f'"{protocol.system}"' if protocol.system else "none"
        numbers = (protocol.temperature, protocol.top_p)
        assert cells == [*(f"{x:g}" for x in numbers), f"{protocol.max_tokens:,}", system]
