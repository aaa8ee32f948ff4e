# Every target sets up what it needs; a fresh clone and Python 3.10 or newer are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo collector test node servers lint bench soak format readme clean
.DEFAULT_GOAL := test

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("scorespan needs Python 3.10 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12") if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv $(VENV)

# One stamp per set of extras: the environment is renewed when the dependencies change.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## train, serve, score and store: the main job, then the account
	$(BIN)/scorespan demo

test: $(VENV)/.dev collector node  ## the whole test suite
	$(BIN)/python -m pytest -n auto

collector: $(VENV)/.dev  ## the Collector that the tests run: built once, in minutes, outside the tree
	PYTHONPATH=tests $(BIN)/python -m collector.build

node: $(VENV)/.dev  ## the packages of the Node.js service that the tests run
	PYTHONPATH=tests $(BIN)/python -m collector.packages

servers: $(VENV)/.dev  ## every server that capture covers, each in an environment of its own, and the table
	SCORESPAN_SERVERS=all $(BIN)/python -m pytest -n 2 tests/servers

lint: $(VENV)/.dev  ## style, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev  ## speed, side by side in one run
	$(BIN)/python -m tests.benchmarks

soak: $(VENV)/.dev collector node  ## half an hour of mixed faults, then every fault in full size; hours
	PYTHONPATH=tests $(BIN)/python -m faults.soak
	SCORESPAN_FAULTS=soak $(BIN)/python -m pytest -n auto tests/faults tests/spool tests/receiver \
		tests/collector/test_pipeline.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

readme: $(VENV)/.dev  ## write the generated part of the README
	$(BIN)/python -m tests.readme

clean:
	rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
