# Two commands on a fresh machine: `make demo` and `make test`. Everything else is listed by `make help`.
PYTHON := $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
NETWORK ?= simulator
# Tests of the floors whose coverage is held; measuring the others too would double their time.
MEASURED := tests/export tests/model tests/validation
# Parts, three at a time, the longest first: two cores are used although tests wait; each starts its own servers.
PARTS := test-doors test-acts test-crashes test-wires test-rules check
ACTS := tests/api tests/portal
WIRES := tests/cli tests/network tests/notebooks
CRASHES := tests/fleet tests/floor tests/processes
# Two plugins take three seconds to load: nbval is started by tests/notebooks itself, schemathesis serves tests/api.
ACTS_PYTEST := $(BIN)/pytest -p no:nbval
PYTEST := $(ACTS_PYTEST) -p no:schemathesis

.PHONY: help setup servers demo test long check bench torture mutants lab dashboards constraints translations

help: ## what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(INSTALLED) ## the Python environment in .venv, with exact versions

$(INSTALLED): constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable '.[test]'
	@# What pip does with one processor. Some packages carry files for other versions of Python: no fault of ours.
	-@$(BIN)/python -m compileall -qq -j 0 .venv/lib
	touch $@

servers: ## Kamailio, PostgreSQL and Chromium for the tests (apt, root)
	sh tools/install-servers.sh kamailio postgresql chromium

ifeq ($(NETWORK),kamailio)
demo: kamailio
endif
demo: setup ## a seeded fleet, 30 days of snapshots, one report, the dashboard; NETWORK=kamailio for real SIP
	$(BIN)/devlib demo --network $(NETWORK)

.PHONY: kamailio
kamailio:
	sh tools/install-servers.sh kamailio

test: ## all tests; what CI runs
	$(MAKE) --no-print-directory --jobs=2 setup servers
	$(MAKE) --no-print-directory --jobs=3 --output-sync=target --keep-going $(PARTS)

.PHONY: test-rules test-acts test-wires test-crashes test-doors
test-rules:
	$(PYTEST) --cov --cov-report= $(MEASURED)
	$(BIN)/coverage report --include='devlib/model/*,devlib/validation/*,devlib/export/*' --fail-under=95
test-acts:
	$(ACTS_PYTEST) -m 'not long' $(ACTS)
test-wires:
	$(PYTEST) -m 'not long' $(WIRES)
test-crashes:
	$(PYTEST) -m 'not long' $(CRASHES)
test-doors:
	$(PYTEST) -m 'not long' $(filter-out $(MEASURED) $(ACTS) $(WIRES) $(CRASHES) tests/house tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/)))

long: setup servers ## tests that take minutes: browser, whole fleets restarted, compactors killed
	$(BIN)/pytest -m long --timeout=900

check: setup ## ruff, mypy, floors, thin notebooks, true documentation; before every commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(PYTEST) --quiet tests/house

bench: setup kamailio ## speed, as ratios to peers measured in the same run
	$(BIN)/python -m bench

torture: setup servers ## crash and contention tests at full length
	DEVLIB_TORTURE_SECONDS=60 $(BIN)/pytest --timeout=900 tests/processes tests/storage/test_concurrency.py
	DEVLIB_TORTURE_SECONDS=15 DEVLIB_TORTURE_PROCESSES=200 $(BIN)/pytest -s --timeout=900 tests/export/admission/test_torture.py
	DEVLIB_TORTURE_SECONDS=600 $(BIN)/pytest -s --timeout=900 tests/network/test_sip_fuzz.py
	DEVLIB_MIGRATION_LINES=1000000 $(BIN)/pytest -s tests/processes/test_migration.py
	DEVLIB_TORTURE_SECONDS=60 $(BIN)/pytest -s --timeout=3600 tests/api/test_interface.py
	DEVLIB_CHAOS_SECONDS=300 $(BIN)/pytest -s tests/processes/test_chaos.py

mutants: setup ## changed rules that the tests must notice
	$(BIN)/python tests/export/mutants/run.py
	$(BIN)/python tests/notebooks/mutants.py

lab: setup ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --ip=127.0.0.1 notebooks

dashboards: setup ## the dashboards on 127.0.0.1
	$(BIN)/devlib dashboards

constraints: ## write constraints.txt anew from the ranges in pyproject.toml
	sh tools/write-constraints.sh $(PYTHON)

translations: setup ## collect texts, show what has no French yet, compile
	$(BIN)/python tools/translations.py
