# Every target first builds .venv if it is missing or older than pyproject.toml and constraints.txt.
# Without make: README.md, "From a checkout", has the same steps as plain pip commands.

PYTHON ?= python3
VENV   ?= .venv
SEEDS  ?= [1]
SUITE  ?= meld
JOBS   ?= 2
# Folders of corpora that are not bundled: one in the checkout, and one beside it.
export DIALOGUE_SER_DATA ?= $(CURDIR)/data:$(CURDIR)/../shared/data
GPU_OPTIONS ?=
FAULTS ?= --quick
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help env quickstart test check bench bench-suite bench-gpu bench-faults gpu-kit clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP)  ## Build .venv with the package and the tools of its tests

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is older than Python 3.11 or is missing; name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

quickstart: $(STAMP)  ## Train a model on the bundled sample and write its report (minutes)
	@if [ -f runs/quickstart/config.yaml ]; then set -- --resume runs/quickstart; else set -- --preset quickstart; fi; \
	  echo "$(BIN)/dialogue-ser train $$*"; $(BIN)/dialogue-ser train "$$@"

test: $(STAMP)  ## Run all tests and doctests in JOBS=2 processes
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

check: $(STAMP)  ## Check format, lint, types, import layers and rendered tables
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m benchmarks.tables --check

bench: $(STAMP)  ## Measure the speed of the recurrence (minutes)
	$(BIN)/python -m benchmarks.recurrence

bench-suite: $(STAMP)  ## Run benchmarks/suites/SUITE.yaml; SUITE=meld, SEEDS=[1,2] (one seed: under an hour on 2 cores)
	$(BIN)/dialogue-ser benchmark benchmarks/suites/$(SUITE).yaml --jobs $(JOBS) --seeds '$(SEEDS)'

bench-gpu: $(STAMP)  ## Measure and check on a GPU (8 minutes); GPU_OPTIONS="--device cpu --quick" tries it without one
	$(BIN)/python -m benchmarks.gpu $(GPU_OPTIONS)

bench-faults: $(STAMP)  ## Expose the library to faults (10 minutes; FAULTS="" runs the whole campaign, 150 minutes)
	$(BIN)/python -m benchmarks.faults $(FAULTS)

gpu-kit: $(STAMP)  ## Collect in .gpu-kit what bench-gpu needs on a machine without a network
	$(BIN)/python -m benchmarks.gpu.kit

clean:  ## Remove .venv and the caches of the tools; keep runs and downloaded data
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis build dist
