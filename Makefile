# CareLedger: one word a chore. Needs only python3 (3.11 to 3.13, with venv) and make; see CONTRIBUTING.md.
PYTHON ?= python3
PORT   ?= 8080
HOME_DIR ?= demo-home

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

BIN    := .venv/bin
PY     := $(BIN)/python
STAMPS := .venv/stamps
BUILD  := .cache/build
PIP    := $(PY) -m pip --disable-pip-version-check --no-input install --quiet
PINNED := --require-hashes --only-binary :all:

# Node (a wheel, used to fetch the FHIR definitions) reads the system's certificates as pip does.
export NODE_USE_SYSTEM_CA := 1
# Nothing of the caller's Python leaks in.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV

##@ Use
.PHONY: help
help:  ## show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z][a-z%-]*:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup:  ## create .venv with everything pinned; leaves .venv/bin/careledger
	@mkdir -p .cache && flock .cache/setup.lock $(MAKE) -s $(STAMPS)/package

.PHONY: run
run: setup  ## start the demo hospital on PORT (8080); keeps its data in demo-home
	@exec $(BIN)/careledger demo --home $(HOME_DIR) --port $(PORT)

.PHONY: reset
reset:  ## empty the demo hospital (deletes demo-home)
	@case '$(HOME_DIR)' in ''|/|.|..|*/..*) echo 'HOME_DIR must name a folder of its own' >&2; exit 2;; esac; \
	if [ -d '$(HOME_DIR)' ] && [ ! -e '$(HOME_DIR)/keys' ] && [ -n "$$(ls -A '$(HOME_DIR)')" ]; then \
	  echo '$(HOME_DIR) does not look like a CareLedger home: nothing deleted' >&2; exit 2; fi; \
	if [ -e '$(HOME_DIR)/lock' ] && ! flock -n '$(HOME_DIR)/lock' true; then \
	  echo 'the demo hospital is running: stop it with Ctrl-C, then: make reset' >&2; exit 5; fi; \
	rm -rf -- '$(HOME_DIR)' '$(HOME_DIR).passphrase' '$(HOME_DIR).witness' '$(HOME_DIR).witness.passphrase' && echo 'the demo hospital is empty; start it again with: make run'

.PHONY: engine
engine: setup  ## build the consensus engine into your cache (CARELEDGER_ENGINE_CACHE); a few minutes, once
	@$(BIN)/careledger engine install --quiet

##@ Check
.PHONY: test
test: dev engine check  ## format, lint, types, layers, tests in two processes (ARGS=… goes to pytest)
	@$(PY) -m pytest -n 2 $(ARGS)

.PHONY: check
check: dev  ## the static half of `make test`
	@$(BIN)/ruff format --check --quiet . >/dev/null || { echo 'formatting differs: run `make format`' >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/codespell --quiet-level 2 $$(git ls-files '*.md' '*.py' 'Makefile' 2>/dev/null || find . -name '*.py' -not -path './.*')
	@$(BIN)/vulture
	@$(BIN)/mypy --no-error-summary

.PHONY: format
format: dev  ## format and repair what can be repaired
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

.PHONY: bench
bench: setup  ## measure; prints the table of figures and writes bench.json
	@$(BIN)/careledger bench --output bench.json

.PHONY: bench-ui
bench-ui: dev  ## measure the web application in Chromium; writes bench-ui.json
	@$(PY) -m bench.ui_bench --output bench-ui.json

.PHONY: bench-network
bench-network: dev engine  ## measure four organisations on one ledger; writes bench-network.json
	@$(PY) -m bench.network_bench --output bench-network.json

.PHONY: bench-auth
bench-auth: dev  ## measure the authorisation server; writes bench-auth.json
	@$(PY) -m bench.auth_bench --output bench-auth.json

.PHONY: bench-paired
bench-paired: dev  ## this checkout against another one, phase by phase in turns: OTHER=DIR
	@test -n '$(OTHER)' || { echo 'say which: make bench-paired OTHER=DIR (a checkout after `make setup`)' >&2; exit 2; }
	@$(PY) -m bench.paired '$(OTHER)'

.PHONY: mutants
mutants: dev  ## apply every planted defect; fails if a test stays green
	@$(PY) tools/mutants.py

.PHONY: vectors
vectors: dev  ## write vectors/ again from the tests
	@$(PY) -m pytest -m vectors --write-vectors

.PHONY: docs
docs: dev  ## write docs/cli.md, docs/spec/, tables of docs/scale.md, deploy/engine-*.toml again from the program
	@$(PY) tools/build_cli_reference.py
	@test ! -e tools/build_spec.py || $(PY) tools/build_spec.py
	@$(PY) tools/build_routes.py
	@$(PY) tools/build_engine_samples.py
	@$(PY) -m bench.scale

campaign-%: dev  ## run a long campaign: tests/campaigns/NAME.py
	@test -e tests/campaigns/$*.py || { echo 'no such campaign; there are:' >&2; ls tests/campaigns 2>/dev/null >&2; exit 2; }
	@$(PY) tests/campaigns/$*.py

##@ Maintain
.PHONY: lock
lock: $(STAMPS)/venv  ## write requirements/*.txt again from *.in (needs uv: pip install uv)
	@for name in run dev build; do (cd requirements && uv pip compile --quiet --generate-hashes --universal \
	  --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links $$name.in -o $$name.txt); done
	@{ echo '# The Go toolchain for machines without one; `make lock` writes this file from requirements/engine.in.'; \
	  cd requirements && uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links engine.in; } > careledger/engine/toolchain.txt

.PHONY: clean
clean:  ## remove everything that setup and the tests made, but no home
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist careledger/fhir/_definitions careledger/web/_ui

# --- setup, by stamps: each step runs again only when its inputs changed ------------------------------------------
$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo 'CareLedger needs Python 3.11 to 3.13; say which: make setup PYTHON=python3.12' >&2; exit 1; }
	@test -x $(PY) || { echo 'setup: creating .venv'; $(PYTHON) -m venv .venv || \
	  { echo 'python3 has no venv: apt-get install python3-venv' >&2; rm -rf .venv; exit 1; }; }
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: requirements/run.txt | $(STAMPS)/venv
	@echo 'setup: installing what the program needs'
	@$(PIP) $(PINNED) -r requirements/run.txt
	@touch $@

$(STAMPS)/build: requirements/build.txt | $(STAMPS)/venv
	@echo 'setup: installing what the build needs'
	@rm -rf $(BUILD) && $(PIP) $(PINNED) --target $(BUILD) -r requirements/build.txt
	@touch $@

$(STAMPS)/definitions: $(wildcard tools/*_definitions.py tools/definitions/* careledger/fhir/definitions.py) $(STAMPS)/build $(STAMPS)/run
	@test ! -e tools/build_definitions.py || { echo 'setup: building the FHIR definitions'; \
	  PYTHONPATH=$(BUILD) $(PY) tools/build_definitions.py; }
	@touch $@

$(STAMPS)/ui: $(shell find careledger/web/ui -type f 2>/dev/null) $(wildcard tools/build_ui.py) $(STAMPS)/build $(STAMPS)/run
	@test ! -e tools/build_ui.py || { echo 'setup: building the web application'; PYTHONPATH=$(BUILD) $(PY) tools/build_ui.py; }
	@touch $@

$(STAMPS)/package: pyproject.toml hatch_build.py careledger/__init__.py $(STAMPS)/definitions $(STAMPS)/ui $(STAMPS)/build $(STAMPS)/run
	@PYTHONPATH=$(BUILD) $(PIP) --no-deps --no-index --no-build-isolation --force-reinstall --editable .
	@touch $@

$(STAMPS)/dev: requirements/dev.txt | $(STAMPS)/run
	@echo 'setup: installing what the tests need'
	@$(PIP) $(PINNED) -r requirements/dev.txt
	@touch $@

.PHONY: dev
dev: setup
	@flock .cache/setup.lock $(MAKE) -s $(STAMPS)/dev
