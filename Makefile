# Two commands: `make run` (the sample country, from nothing to its map) and `make test`; `make docs` builds the site.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup run test docs clean

setup: $(READY)

# --no-deps: the lock names everything, so nothing is left to resolve.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and f"found Python {sys.version.split()[0]}, expected 3.11 (set PYTHON=/path/to/python3.11)")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

run: $(READY)
	$(BIN)/python jobs/ingest.py sample --margins
	$(BIN)/python jobs/neighbors.py --vintage sample
	$(BIN)/python jobs/opportunity.py --definition sample --dataset survey --year 2020 --draws 100 --map sample_map.html --export sample_index.csv

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --clean

clean:
	rm -rf $(VENV) store site sample_map.html sample_index.csv
