# Everything a developer or an operator runs. `make run` and `make test` need Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := instrumentation/src gateway/src tests bench examples fuzz grafana
HOT := tests/gateway/relay tests/gateway/upstreams tests/gateway/routing tests/instrumentation tests/fuzz
# Tests that compute rather than watch clocks: they run beside the others, behind them.
CALM := tests/alerting tests/anomalies tests/bench tests/dashboards tests/fuzz tests/gateway tests/house tests/instrumentation
TIMED := tests/alerting/test_end_to_end.py tests/dashboards/test_demo_dashboards.py tests/dashboards/test_compose_demo.py
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run demo install test test-timed test-calm hot check format lint types layers duplicates dashboards bench fuzz soak constraints audit clean

run: install ## the gateway with embedded defaults
	$(BIN)/spanmeter serve

demo: install ## the gateway with a pretend provider and live traffic, no API key needed; with Prometheus and Grafana where installed
	$(BIN)/spanmeter demo

install: .venv/compiled ## the gateway in .venv

test: .venv/installed-dev .venv/compiled ## every test whose component is present
	@$(MAKE) --no-print-directory --jobs=2 test-timed test-calm

test-timed: RUN = $(BIN)/python -m pytest -o cache_dir=build/test-timed $(filter-out $(CALM),$(patsubst %/,%,$(wildcard tests/*/))) $(TIMED)
test-calm: RUN = nice -n 10 $(BIN)/python -m pytest -q -o cache_dir=build/test-calm $(CALM) $(addprefix --ignore=,$(TIMED))

# Real processes on a machine that others use too: what failed gets one second look, and is named.
test-timed test-calm: .venv/installed-dev .venv/compiled
	@rm -rf build/$@
	$(RUN) || { [ $$? -eq 1 ] && echo "A second look at what failed above; what fails again fails $@:" && \
		$(RUN) --last-failed --last-failed-no-failures=none -rA; }

hot: .venv/installed-dev .venv/compiled ## the tests of the hot path's modules once more, on the compiled ones
	PYTHONPATH=$$($(BIN)/spanmeter compile --where) $(BIN)/python -m pytest -q $(HOT)

check: .venv/installed-dev ## exactly what CI runs
	@$(MAKE) --no-print-directory --jobs=2 hot format lint types layers duplicates
	@$(MAKE) --no-print-directory test

format: .venv/installed-dev
	$(BIN)/ruff format --check $(SOURCES)

lint: .venv/installed-dev
	$(BIN)/ruff check $(SOURCES)

types: .venv/installed-dev
	$(BIN)/mypy

layers: .venv/installed-dev
	$(BIN)/lint-imports

duplicates: .venv/installed-dev
	$(BIN)/python tests/house/duplicates.py instrumentation/src gateway/src bench

dashboards: .venv/installed-dev ## write grafana/dist
	$(BIN)/python -m grafana.build

bench: .venv/installed-dev .venv/compiled ## ratios against nginx; see bench/README.md
	$(BIN)/python -m bench $(or $(ARGS),--peers all)

soak: .venv/installed-dev .venv/compiled ## 20 minutes at 200 calls/s under kills and restarts; ARGS="--seconds 60 --json"
	$(BIN)/python -m tests.soak $(ARGS)

fuzz: .venv/installed-fuzz ## every target for 10 minutes; see fuzz/README.md
	$(BIN)/python -m fuzz $(ARGS)

constraints: .venv/bin/python ## pin the newest versions that satisfy all requirements
	@rm -rf build/constraints
	@$(BIN)/python -m venv build/constraints
	@build/constraints/bin/python -m pip --disable-pip-version-check --quiet install --upgrade setuptools wheel
	@build/constraints/bin/python -m pip --disable-pip-version-check --quiet install --no-build-isolation \
		--editable instrumentation --editable gateway --requirement requirements-dev.txt
	@build/constraints/bin/python -m pip freeze --all --exclude-editable --exclude pip > build/constraints.txt
	@mv build/constraints.txt constraints.txt

audit: .venv/bin/python ## known vulnerabilities of the pinned versions, where advisories can be reached
	@test -x build/audit/bin/pip-audit || { $(BIN)/python -m venv build/audit && \
		build/audit/bin/python -m pip --disable-pip-version-check --quiet install pip-audit; }
	@build/audit/bin/pip-audit --strict --timeout 10 --no-deps --disable-pip --requirement constraints.txt || { \
		echo "Not clean: vulnerabilities are listed above; without a list the advisories could not be reached and NOTHING was audited."; exit 1; }

clean:
	rm -rf .venv build spanmeter-data .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Spanmeter needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }

.venv/installed: .venv/bin/python constraints.txt instrumentation/pyproject.toml gateway/pyproject.toml
	@echo "Installing Spanmeter into .venv ..."
	@$(PIP) install --constraint constraints.txt setuptools wheel
	@$(PIP) install --constraint constraints.txt --no-build-isolation --editable instrumentation --editable 'gateway[compile]'
	@touch $@

# Without a C compiler the relay runs too, at half the speed; `spanmeter compile` says so.
.venv/compiled: .venv/installed $(shell find instrumentation/src gateway/src -name '*.py')
	@$(BIN)/spanmeter compile || true
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	@echo "Installing the tools for tests into .venv ..."
	@$(PIP) install --constraint constraints.txt --requirement requirements-dev.txt
	@touch $@

.venv/installed-fuzz: .venv/installed-dev fuzz/requirements.txt
	@$(PIP) install --requirement fuzz/requirements.txt
	@touch $@
