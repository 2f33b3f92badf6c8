# `make run` and `make test` work as the first command on a fresh clone; python3 (3.11 or newer,
# with venv) is all they need.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: run test check bench format clean

run: $(INSTALLED)
	$(VENV)/bin/qcsc-loop run bitcount

test: $(INSTALLED)
	$(VENV)/bin/pytest

check: $(INSTALLED)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports

bench: $(INSTALLED)
	$(VENV)/bin/python benchmarks/run.py

format: $(INSTALLED)
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	# Debian 12's pip knows no dependency groups
	$(VENV)/bin/pip install --quiet --upgrade --constraint constraints.txt pip
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --group dev --editable .
	touch $@

clean:
	rm -rf $(VENV)
