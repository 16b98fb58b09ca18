# What a newcomer types: `make loadtest` and `make test`. Each sets up what it needs.
PYTHON ?= python3
TARGET ?= kakao
VENV := .venv
BIN := $(VENV)/bin
UV := uv==0.13.8

.DEFAULT_GOAL := help
.PHONY: help setup loadtest test lint prove bench profile capacity gate report peers clean

help: ## show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(VENV)/.ready ## make .venv with pinned versions; afterwards .venv/bin/plimsoll exists

# uv installs the lock file in seconds; where it cannot reach the index as pip is set up to, pip does the same job.
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Plimsoll needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Name another with: make PYTHON=python3.12 setup"; exit 2; }
	@test -d $(VENV) || { echo "setting up $(VENV) (once) ..."; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(UV)"
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

