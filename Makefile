# Every target works on a machine that has only git, make and Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

# Tests start programs by the hundred: without bytecode each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv serve test interop pythons check format lint types pages standards limits lock bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

venv: $(STAMP) ## prepare .venv, if it is not up to date

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "pierhead needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 3; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the locked dependencies into .venv ..."
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

serve: venv ## serve DNS for the example zone on 127.0.0.1:5300
	@exec $(BIN)/pierhead serve dns --zone examples/zones $(if $(LISTEN),-l $(LISTEN))

test: venv ## unit tests, laws, scenarios and examples, in two processes
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/unit tests/laws tests/scenarios tests/examples examples

interop: venv ## tests against NSD, Knot, BIND, curl and other programs
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/interop

pythons: ## unit tests and laws on the other installed versions of Python
	@.ci/other-pythons 3.12 3.13

check: venv format lint types ## format, lint, types, architecture, every block of every page, longer tests
	@$(BIN)/python -m pytest -q tests/architecture tests/docs tests/checks

standards: venv ## regenerate docs/standards.md from the marks on the tests
	@$(BIN)/python docs/generate_standards.py

limits: venv ## regenerate docs/reference/limits.md from the tables of limits
	@$(BIN)/python docs/generate_limits.py

pages: standards limits ## regenerate every generated page
	@$(BIN)/python docs/generate_addresses.py
	@$(BIN)/python docs/generate_command_line.py
	@$(BIN)/python docs/generate_configuration.py
	@$(BIN)/python docs/generate_metrics.py

format: venv
	@$(BIN)/ruff format --check .

lint: venv
	@$(BIN)/ruff check .

types: venv
	@$(BIN)/mypy

bench: venv ## CPU time per query, line and connection, beside NSD, Knot and asyncio's servers
	@$(BIN)/python benchmarks/dns_queries.py
	@$(BIN)/python benchmarks/echo_and_accept.py

lock: ## regenerate requirements.lock (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --all-extras --group dev -o requirements.lock pyproject.toml

clean:
	@rm -rf .venv .venv-3.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
