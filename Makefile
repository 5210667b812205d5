# Everything a developer or a machine needs. `make help` lists the targets.
# Commands go through .venv/bin/python, never through an activated environment; paths are relative, so that
# the checkout may stand in a folder with spaces.

PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/ready
REPORTS := build/reports
FUZZ_SECONDS ?= 60

# Unset what would leak in from the machine: a foreign environment or another project's path.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

# Tests are typed where it helps: bodies are checked in full, signatures may be left open, and records may be
# built from dicts of mixed values.
MYPY_TESTS := --allow-untyped-defs --allow-incomplete-defs --allow-untyped-calls --allow-untyped-decorators \
  --allow-any-generics --no-warn-return-any --no-warn-unused-ignores --no-strict-equality \
  --disable-error-code=arg-type

.PHONY: help demo test check format-check lint types types-package types-tests types-pyright contracts wheel test-server soak fuzz bench analysis accuracy format lock clean
.DELETE_ON_ERROR:

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sort | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

# Made anew when the dependencies change, so that nothing of an older set stays behind.
$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'SpanBudget needs Python 3.11 or later; say which: make PYTHON=python3.12' >&2; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

.venv: $(READY) ## make the development environment

demo: $(READY) ## the main job: a fake provider, real clients, a budget that says no
	.venv/bin/spanbudget demo

test: $(READY) ## all tests that need no server
	@mkdir -p $(REPORTS)
	$(PY) -m pytest -n auto --dist loadfile --junitxml=$(REPORTS)/test.xml

check: format-check lint types contracts test wheel ## the whole gate (make -k check goes on after a failure)

format-check: $(READY) ## is everything formatted?
	$(PY) -m ruff format --check .

lint: $(READY) ## ruff, every rule
	$(PY) -m ruff check .

types: types-package types-tests types-pyright ## mypy strict and pyright over the package, mypy over tests

types-package: $(READY)
	$(PY) -m mypy

types-tests: $(READY)
	$(PY) -m mypy $(MYPY_TESTS) tests benchmarks

types-pyright: $(READY)
	$(PY) -m pyright

contracts: $(READY) ## who may import whom
	.venv/bin/lint-imports --no-logo

wheel: $(READY) ## build sdist and wheel into dist/ and test what was built
	rm -rf dist
	$(PY) -m build --no-isolation --outdir dist
	@mkdir -p $(REPORTS)
	SPANBUDGET_DIST=dist $(PY) -m pytest --junitxml=$(REPORTS)/wheel.xml tests/packaging/test_wheel.py

# pytest exits with 5 where no test carries the marker.
test-server: $(READY) ## tests that start a real server: PostgreSQL, gunicorn
	@mkdir -p $(REPORTS)
	$(PY) -m pytest --junitxml=$(REPORTS)/server.xml -m "server or postgres" || test $$? -eq 5

soak: $(READY) ## long repetitions (SOAK_ROUNDS=5 makes it short), with new random examples each time
	@mkdir -p $(REPORTS)
	$(PY) -m pytest --junitxml=$(REPORTS)/soak.xml --hypothesis-profile=default -m soak || test $$? -eq 5

# libFuzzer leaves an input that it fails on under build/, as `build/crash-…`.
fuzz: $(READY) ## random and mutated input under atheris (FUZZ_SECONDS=60)
	@mkdir -p build
	@$(PY) -m pip install --quiet --disable-pip-version-check 'atheris>=3,<4' || echo 'atheris is not available for this Python: nothing is fuzzed'
	$(PY) tests/fuzz/atheris_spans.py -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/
	$(PY) tests/fuzz/atheris_lines.py -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/

bench: $(READY) ## print the benchmark tables (BENCH_QUICK=1: one small round each, only to see that they run)
	$(PY) benchmarks/run.py $(if $(BENCH_QUICK),--quick)

analysis: $(READY) ## what anomalies and projections find, with peers beside (TRACES=FILE or FOLDER; else generated)
	$(PY) benchmarks/anomalies.py $(TRACES)
	$(PY) benchmarks/projection.py $(TRACES)

accuracy: $(READY) ## replay every capture against its true calls (CAPTURES=FOLDER for others than our own)
	$(PY) benchmarks/accuracy.py $(CAPTURES)

format: $(READY) ## format, and mend what ruff can mend safely
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lock: ## resolve the development environment anew into requirements.lock
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@{ sed -n '/^#/p' requirements.lock; build/lock/bin/python -m pip freeze --exclude-editable; } > build/lock.txt
	mv build/lock.txt requirements.lock
	rm -rf build/lock

clean: ## remove everything that can be made again
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src processors rules exporter grafana tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
