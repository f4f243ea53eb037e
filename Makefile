# make demo and make test set up everything themselves on a fresh machine that has Python 3.11+, make and a package index.
PYTHON ?= python3
VENV   := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

FAULTS ?= 50
SEED   ?= new

.PHONY: ready demo test faults lint types layers check bench lock clean help

help:
	@echo "make demo    build a small exhibit, scan it, print the path of the report"
	@echo "make test    the whole test suite"
	@echo "make faults  the durability suite with many moments: FAULTS=200 (of each kind), SEED=7 (those of an earlier run)"
	@echo "make check   lint, types and layer rules"
	@echo "make bench   the benchmarks beside their peers"
	@echo "make lock    resolve the dependencies again (only when you mean to)"

# The venv is marked done only when everything is in it, so a broken set-up starts again.
$(VENV)/ready-to-run: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

$(VENV)/ready-to-test: $(VENV)/ready-to-run requirements-dev.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

ready: $(VENV)/ready-to-test

demo: $(VENV)/ready-to-run
	$(BIN)/python -m caid_triage demo --out demo

test: $(VENV)/ready-to-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

faults: $(VENV)/ready-to-test
	$(BIN)/python -m pytest -m durability --faults $(FAULTS) --fault-seed $(SEED) $(PYTEST_ARGS)

lint: $(VENV)/ready-to-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready-to-test
	$(BIN)/mypy

layers: $(VENV)/ready-to-test
	$(BIN)/lint-imports

check: lint types layers

bench: $(VENV)/ready-to-test
	$(BIN)/python benchmarks/run_all.py

lock: pyproject.toml
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet pip-tools
	$(VENV)-lock/bin/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --output-file requirements.lock pyproject.toml
	$(VENV)-lock/bin/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --allow-unsafe --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) demo
