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
# Processes of `make test`. The tests of one file stay in one process, where they share what they made.
JOBS   ?= 2

.PHONY: ready demo test lint types layers check bench fuzz damage faults hostile tampering nights validate lock clean help

help:
	@echo "make demo    build a small exhibit, scan it, print the path of the report"
	@echo "make test    the whole test suite, two test files at once (JOBS=1: one; JOBS=4)"
	@echo "make tampering  the test of changed bytes with 20,000 of them (CHANGES=N)"
	@echo "make nights  scans whose evidence process is killed at random moments, NIGHTS of them (30)"
	@echo "make faults  the durability suite with many moments: FAULTS=200 (of each kind), SEED=7 (those of an earlier run)"
	@echo "make check   lint, types and layer rules"
	@echo "make damage  no silent miss on damaged volumes: the law of the suite with more copies"
	@echo "make validate  run the known-answer pack (VALIDATE_ARGS=--quick: fewer pictures)"
	@echo "make bench   the benchmarks beside their peers"
	@echo "make fuzz    hostile bytes to every parser (FUZZ_SECONDS=600 each, FUZZ_TARGETS=all)"
	@echo "make hostile CORPUS=... scan a corpus of malformed files three ways and check every record, time and memory"
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
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile $(PYTEST_ARGS)

tampering: export CAID_TRIAGE_BYTE_CHANGES = $(or $(CHANGES),20000)
tampering: $(VENV)/ready-to-test
	$(BIN)/python -m pytest tests/faults/test_tampering.py

nights: $(VENV)/ready-to-test
	CAID_TRIAGE_NIGHTS=$(or $(NIGHTS),30) CAID_TRIAGE_MOMENTS=$$(date +%s) $(BIN)/python -m pytest -k random_moments tests/faults/test_evidence_process_scan.py

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

damage: $(VENV)/ready-to-test
	CAID_TRIAGE_DAMAGED_COPIES=200 $(BIN)/python -m pytest tests/laws/test_damage_laws.py

bench: $(VENV)/ready-to-test
	$(BIN)/python benchmarks/run_all.py

# Guided by coverage where there is a wheel of atheris; tests/fuzz/README.md. CAID_SHARED may name a folder with more seeds.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?=
$(VENV)/ready-to-fuzz: $(VENV)/ready-to-test requirements-fuzz.lock
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements-fuzz.lock \
		|| echo "fuzz: there is no wheel of atheris for this Python and system: inputs are made by plain seeded damage"
	@touch $@

fuzz: $(VENV)/ready-to-fuzz
	$(BIN)/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) --work .fuzz $(FUZZ_TARGETS)

hostile: $(VENV)/ready-to-test
	$(BIN)/python benchmarks/hostile_scan.py $(CORPUS)

validate: $(VENV)/ready-to-run
	$(BIN)/python -m caid_triage validate --out validation $(VALIDATE_ARGS)

lock: pyproject.toml
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet pip-tools
	$(VENV)-lock/bin/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --output-file requirements.lock pyproject.toml
	$(VENV)-lock/bin/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --allow-unsafe --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) demo
