# make demo    the bundled agent plays three Doom tasks live; videos and reports land in demo/
# make test    the tests;  make test-slow  the long ones
# make check   format, lint, types;  make docs  the site, in build/docs
# make clean   removes what these made, .venv included
#
# Each sets up .venv by itself, with the versions of constraints.txt; PYTHON=python3.12 chooses another interpreter.
# As root, or where sudo asks for nothing, the tests install the system packages that they want (tools/system-packages).

PYTHON ?= python3
BIN := .venv/bin
DEMO_SECONDS ?= 30
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test test-slow check docs clean

demo: .venv/play
	$(BIN)/eyehand demo --seconds $(DEMO_SECONDS)

test: .venv/packages-test .venv/dev
	$(BIN)/python -m pytest -n auto

test-slow: .venv/packages-test .venv/packages-test-slow .venv/dev
	$(BIN)/python -m pytest -m slow

check: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

docs: .venv/docs
	$(BIN)/sphinx-build -q -W --keep-going docs build/docs
	@echo "Open build/docs/index.html in a browser."

clean:
	rm -rf .venv demo build dist docs/modules src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "eyehand needs Python 3.11 or newer: run make PYTHON=python3.12 (or another)."; exit 2; }
	@$(PYTHON) -m venv .venv || { tools/install-packages demo; $(PYTHON) -m venv .venv; } || \
		{ echo "Install the venv module first (Debian, Ubuntu: apt install python3-venv)."; exit 2; }
	@touch $@

# Once, and whatever comes of it: what is missing is named, and skipped.
.venv/packages-%: tools/system-packages .venv/python
	@tools/install-packages $* || true
	@touch $@

.venv/play: .venv/python pyproject.toml constraints.txt
	@echo "Installing eyehand into .venv (once; a minute or two) ..."
	@$(PIP) --editable .
	@touch $@

.venv/dev: .venv/play
	@echo "Installing what tests and checks need ..."
	@$(PIP) --editable '.[dev]'
	@touch $@

.venv/docs: .venv/dev
	@echo "Installing what the documentation is built with ..."
	@$(PIP) --editable '.[docs]'
	@touch $@
