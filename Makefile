# `make demo` on a fresh machine: Python ≥ 3.11, npm and this file. The second call needs no network.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Installed again only when what is installed changed; a checkout of another commit may touch the files alone.
STAMP  := $(VENV)/.installed-$(shell cat pyproject.toml | cksum | cut -d' ' -f1)
TESTS  ?=

.PHONY: demo setup test lint bench clean
.DEFAULT_GOAL := demo

demo: setup          ## run Black Thursday on a simulated network and judge it
	$(BIN)/harness demo

setup: $(STAMP)      ## virtual environment, package, pinned Anvil and Solidity compiler
	@$(BIN)/python -m compileall -q harness   # where PYTHONDONTWRITEBYTECODE is set, every command would compile it anew
	@$(BIN)/python -m harness.toolchain install

test: setup          ## every test; TESTS="tests/model -k margin" for some
	$(BIN)/pytest -n 2 --dist loadgroup $(TESTS)

lint: setup          ## what CI checks besides tests
	$(BIN)/ruff check harness tests
	$(BIN)/mypy
	$(BIN)/pyright

bench: setup         ## the numbers to reach, against bare Anvil in the same run
	@missed=; for file in tests/bench/bench_*.py; do echo "== $$file"; \
	  $(BIN)/python -m tests.bench.$$(basename $$file .py) || missed="$$missed $$file"; done; \
	  [ -z "$$missed" ] || { echo "missed or broken:$$missed" >&2; exit 1; }

clean:               ## remove the environment and the runs; the downloaded tools stay in the user's cache
	rm -rf $(VENV) runs

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; exit 4; }
	@command -v npm >/dev/null || { echo "npm is needed for the pinned Anvil; install Node.js 18 or newer" >&2; exit 4; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@rm -f $(VENV)/.installed-*
	@touch $@
