# Every target starts from nothing: it makes .venv and installs what the lock files name.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DISTRIBUTIONS := protos services/verifier services/runtime services/audit services/prompts services/packets services/exports deploy/local
SOURCES := services/*/src deploy/local/src tests
TESTS ?=
PART ?=
WORKERS ?= 2
unexport PYTHONPATH

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(READY): requirements/bootstrap.lock requirements/dev.lock protos/pyproject.toml $(wildcard services/*/pyproject.toml) deploy/local/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Proofloop needs Python 3.11 or newer; this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ./,$(DISTRIBUTIONS))
	@touch $@

.PHONY: run
run: $(READY) ## the whole stack on this machine, until Ctrl-C
	@exec $(BIN)/proofloop up

.PHONY: demo
demo: $(READY) ## the evidence loop on the example claim; leaves out/demo/
	@exec $(BIN)/proofloop demo

.PHONY: test
test: $(READY) ## every test; make test TESTS=pattern for a part
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup $(if $(TESTS),-k "$(TESTS)")

.PHONY: faults
faults: $(READY) ## what is killed or away loses nothing: with fifty deaths of the audit service, a minute without NATS
	$(BIN)/python -m pytest tests/faults --deaths 50 --outage 60 --timeout 1800

.PHONY: tamper
tamper: $(READY) ## rows, tiles, entries, proofs, checkpoints and packets, tampered with ten thousand times
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --tamperings 850 --timeout 1800 --durations 12 -k test_tampered_

.PHONY: bench-audit
bench-audit: $(READY) ## figures of the audit log; writes out/bench/audit.json
	$(BIN)/python tests/bench/audit.py $(PART)

.PHONY: lint
lint: $(READY) ## style, types and import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: protos
protos: $(READY) ## regenerate the stubs from the contracts
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python protos/generate.py protos/gen

.PHONY: protos-check
protos-check: $(READY) ## stale stubs, contract style, breaking changes
	@PATH="$(CURDIR)/$(BIN):$$PATH" protos/check.sh

.PHONY: lock
lock: $(READY) ## resolve requirements/*.lock anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		requirements/bootstrap.in -o requirements/bootstrap.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		$(foreach name,protos verifier runtime audit prompts packets exports local,--no-emit-package proofloop-$(name)) \
		--all-extras requirements/dev.in $(addsuffix /pyproject.toml,$(DISTRIBUTIONS)) -o requirements/dev.lock

.PHONY: clean
clean: ## remove everything the other targets made
	rm -rf $(VENV) .proofloop out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
