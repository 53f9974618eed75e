# Everything a person types. Needs make and Python 3.11 or newer; the rest goes into .venv.
#
#   make demo     grade a sample class and show the table
#   make test     the tests
#   make help     all targets
#
# PYTHON=python3.12 make demo     picks the interpreter
# make test PYTEST_ARGS="-k feedback -x"

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BENCH_ARGS ?=
ALONE := tests/attacks tests/sandbox
BIN := $(VENV)/bin

# The name of the stamp carries a checksum of what was installed, so that neither a checkout nor a clone (which
# touch file times) reinstalls anything, and a second run needs no network.
KEY := $(shell (cat pyproject.toml constraints.txt; echo "$(CURDIR)") | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.installed-$(KEY)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench release clean

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## .venv with everything in it (the other targets do this by themselves)

$(STAMP):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: no '$(PYTHON)' here. Install Python 3.11 or newer, or name yours: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed, '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name a newer one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: this Python cannot create virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	# torch alone first: whichever build is nearest satisfies it, and nothing after it can bring in another one
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@rm -f $(VENV)/.installed-* && touch $@

demo: $(STAMP) ## grade a sample class of golden submissions and show the table
	$(BIN)/autograder demo

test: $(STAMP) ## the tests; PYTEST_ARGS="-k feedback -x" picks some
ifeq ($(strip $(PYTEST_ARGS)),)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ALONE:%=--ignore=%)
	# what looks at clocks, processes and memory has the machine to itself
	$(BIN)/python -m pytest $(ALONE)
else
	$(BIN)/python -m pytest $(PYTEST_ARGS)
endif

lint: $(STAMP) ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP) ## how fast this machine grades, beside stock nbgrader and Otter-Grader; BENCH_ARGS="--quick" is short
	$(BIN)/python -m benchmarks.bench $(BENCH_ARGS)

release: $(STAMP) ## make release/, solutions/ and gradebook.db from source/
	$(BIN)/autograder release

clean: ## remove .venv and everything that can be made again
	rm -rf $(VENV) .venv-peers demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
