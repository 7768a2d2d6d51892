"""Runs a recipe and prints the peak memory of its largest process in bytes, for forecast.py."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from rich.console import Console

from r1kit import config
from r1kit.console.plain_lines import PlainLines
from r1kit.stages import pipeline

if __name__ == "__main__":
    file, folder = map(Path, sys.argv[1:])
    recipe = config.parse(json.loads(file.read_text(encoding="utf-8")), file.name)
    pipeline.run(recipe, folder, PlainLines(Console(stderr=True)))
    unit = 1 if sys.platform == "darwin" else 1024
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    print(max(resource.getrusage(who).ru_maxrss for who in whose) * unit)
