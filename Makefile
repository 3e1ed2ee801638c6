# Two commands on a fresh machine, nothing before them: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test lint check format bench tiny clean
help:
	@echo "make demo    build two rendered shops, import, rate, recommend"
	@echo "make test    the whole test suite"
	@echo "make check   format, lint, types and tests"
	@echo "make bench   speeds, memory and quality, each beside its yardstick"
	@echo "make tiny    train the embedded encoder anew (about half an hour of one core)"

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/p2prec demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

bench: $(READY)
	$(BIN)/python -m tests.bench

tiny: $(READY)
	$(BIN)/python -m sim.train_tiny --out models/tiny

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
