# make run   start the server with the embedded model      make test    every test
# make check lint, types, layers                           make lock    renew the two locks
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := packages/llama-stack-api/pyproject.toml packages/llama-stack/pyproject.toml
PACKAGES := -e packages/llama-stack-api -e packages/llama-stack

.PHONY: docs run install install-test test test-durability test-agents bench check lock clean

run: install
	$(BIN)/llama stack run $(ARGS)

install: $(VENV)/.run
install-test: $(VENV)/.test

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A lock is installed as it is written: --no-deps, every file checked against its hash.
$(VENV)/.run: requirements-run.lock $(SOURCES) | $(BIN)/python
	$(PIP) install --quiet --no-deps --require-hashes -r requirements-run.lock
	$(PIP) install --quiet --no-deps --no-build-isolation $(PACKAGES)
	touch $@

$(VENV)/.test: requirements-test.lock requirements/external.lock $(SOURCES) | $(BIN)/python
	$(PIP) install --quiet --no-deps --require-hashes -r requirements-test.lock
	$(PIP) install --quiet --no-deps --ignore-requires-python --require-hashes -r requirements/external.lock
	$(PIP) install --quiet --no-deps --no-build-isolation $(PACKAGES)
	touch $@ $(VENV)/.run

test: install-test
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

# Kills workers at many more points than `make test` does.
test-durability: install-test
	DURABILITY_SEEDS=100 $(BIN)/python -m pytest -n 2 tests/runs/test_kill.py tests/durability $(ARGS)

# Drives the server with coding agents of others. Needs node and npm.
test-agents: install-test
	cd tests/coding_agents && npm ci --silent
	$(BIN)/python -m pytest tests/coding_agents $(ARGS)

check: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	cd packages/llama-stack-api && ../../$(BIN)/deptry src
	cd packages/llama-stack && ../../$(BIN)/deptry src

# What docs/ says of providers is read off their descriptors.
docs: install-test
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/stable_names.py

bench: install-test
	$(BIN)/python -m tests.bench $(ARGS)

lock: install-test
	sh requirements/lock.sh

clean:
	rm -rf $(VENV) build dist
