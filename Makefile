# `make run` and `make test` work as the first command on a fresh clone; python3 (3.11 or newer,
# with venv) is all they need.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
SBD := $(VENV)/.sbd

.PHONY: run test test-all nightly torture check style mypy pyright imports docs bench format sbd clean

run: $(INSTALLED)
	$(VENV)/bin/qcsc-loop run bitcount

# more at a time than there are cores: half of it waits for schedulers and servers
PYTEST := $(VENV)/bin/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

# so many at a time starve each other now and then; what failed among them has to hold by itself
ALONE := $(VENV)/bin/pytest --last-failed --last-failed-no-failures none

# where it is set, as in many images, thousands of interpreters would compile the packages anew
test test-all nightly: export PYTHONDONTWRITEBYTECODE :=

test: $(INSTALLED)
	$(PYTEST)

# what CI runs: nothing is left out but what is `nightly`, and five times as many drivers are killed
test-all: export QCSC_LOOP_KILLS ?= 30
test-all: export QCSC_LOOP_MODELS ?= long
test-all: $(INSTALLED)
	$(PYTEST) -m 'not nightly' --durations=25 || { test $$? = 1 && $(ALONE) -m 'not nightly'; }

# hours: the ordeals, the models, every page as a reader types it, every algorithm's contract,
# every machine, fifty members of a sweep at once
nightly: export QCSC_LOOP_KILLS ?= 500
nightly: export QCSC_LOOP_MODELS ?= search
nightly: $(INSTALLED)
	$(PYTEST) -m '' --durations=25 --hypothesis-seed=$(shell date +%s) \
		tests/ordeals tests/models tests/pages tests/algorithms/test_contract.py
	$(PYTEST) -m nightly tests/hpc tests/system tests/algorithms/vqe tests/algorithms/sqd

# runs meet faults at their write boundaries, by chance, for as long as one wants:
#   make torture SECONDS=3600; POINTS=1000; SEED=7; STACKS=service,ibm; OUT=FILE, to go on another day
#   make torture POINT='local/directory/job/disk full/1/checkpoint/named'
torture: $(INSTALLED)
	PYTHONPATH=tests $(VENV)/bin/python -m torture $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(POINTS),--points $(POINTS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(STACKS),--stacks $(STACKS)) $(if $(POINT),--point '$(POINT)') \
		$(if $(OUT),--out $(OUT)) $(if $(TABLE),--table $(TABLE))

# each by itself, so that `make --jobs` has them side by side
check: style mypy pyright imports

style: $(INSTALLED)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

mypy pyright: $(INSTALLED)
	$(VENV)/bin/$@

imports: $(INSTALLED)
	$(VENV)/bin/lint-imports

# build/docs/html; asks the network for nothing, and a warning is an error
docs: $(INSTALLED)
	$(VENV)/bin/python -m docs.builder

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

sbd: $(SBD)

# After the MPI that it is compiled against, and never from pip's cache, whose wheels hold another
# clone's path. Needs g++, Python's headers and OpenBLAS:
#   apt-get install g++ python3-dev libopenblas-dev
$(SBD): $(INSTALLED)
	SBD_BUILD_BACKEND=cpu MPI_HOME=$(abspath $(VENV)) $(VENV)/bin/pip install --quiet \
		--no-cache-dir --no-deps --constraint constraints.txt --build-constraint constraints.txt \
		sbd-eigensolver
	touch $@

clean:
	rm -rf $(VENV)
