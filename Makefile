# demo · test · check · bench · evidence · lab: each sets up what it needs, once, in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check bench evidence lab setup clean

demo: setup
	$(BIN)/r1 run recipes/tiny.toml

test: setup
	$(BIN)/python -m pytest -n 2

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup  # an idle machine, please; twenty minutes, and the demo first if it has not been run
	test -d runs/tiny || $(BIN)/r1 run recipes/tiny.toml
	$(BIN)/python -m benchmarks.rl_step --model runs/tiny
	$(BIN)/python -m benchmarks.rl_step

evidence: setup
	$(BIN)/python scripts/evidence.py recipes/tiny.toml --seeds 0 1 2

lab: setup  # an idle machine, please
	$(BIN)/python scripts/lab.py

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "r1kit needs Python 3.11 or newer; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) .venv-peers runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
